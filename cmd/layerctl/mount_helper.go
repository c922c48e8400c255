// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

// helperPath is where mount(8) looks for the helper.
const helperPath = "/sbin/" + args.HelperName

// Exit codes of mount(8), which exits with the code of its helper.
const (
	mountOK     = 0
	mountUsage  = 1
	mountFailed = 32
)

// runMountHelper runs 'layerctl mount' with the arguments and exit codes of a helper of
// mount(8).
func runMountHelper(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	call, err := args.ParseMountHelper(arguments)
	if err != nil {
		fail(terminal.NewConsole(stderr), err, false)
		return mountUsage
	}
	if call.Fake {
		stdout = io.Discard
	}
	switch run(call.Command(), stdin, stdout, stderr) {
	case exitOK:
		return mountOK
	case exitUsage:
		return mountUsage
	default:
		return mountFailed
	}
}
