// SPDX-License-Identifier: Apache-2.0

// Package cmdline writes down what a command line takes: as help, as completion
// scripts for bash, zsh and fish, and as man pages.
//
// Most callers fill in a [Program] and write it:
//
//	p := cmdline.Program{Name: "layerctl", Flags: …, Commands: …}
//	err := p.Bash(os.Stdout)
//	for _, page := range p.Manual() { … }
//
// A program has commands, one level of them, and flags that may stand before
// the command, after it and between its arguments. What is written depends on
// the Program alone, so that it is the same bytes whenever it is written. The
// scripts run one program to find candidates, that which prints references; what
// it prints is not expanded.
package cmdline
