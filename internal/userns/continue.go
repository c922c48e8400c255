// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// stage is the name by which a program that [Command].Run has started again
// knows it. Its arguments are whether the command is interactive, the path of
// the command, and the command's arguments.
const stage = "layerctl-in-a-user-namespace"

// parent names in the environment the process that a command must not outlive.
const parent = "LAYERCTL_USERNS_PARENT"

// Continue goes on with what [Command].Run has begun, and returns at once in a
// program that was started in any other way. Call it first in main.
func Continue() {
	if pid := os.Getenv(parent); pid != "" {
		dieWith(pid)
	}
	if len(os.Args) < 4 || os.Args[0] != stage {
		return
	}
	const ready = 3
	syscall.CloseOnExec(ready)
	var b [1]byte
	if n, err := os.NewFile(ready, "ready").Read(b[:]); n != 1 || err != nil {
		os.Exit(1) // the parent says why
	}
	env := os.Environ()
	if os.Args[1] != strconv.FormatBool(true) {
		env = append(env, fmt.Sprintf("%s=%d", parent, os.Getppid()))
	}
	err := syscall.Exec(os.Args[2], os.Args[3:], env)
	fmt.Fprintf(os.Stderr, "layerctl: error: run %q: %v\n", os.Args[2], err)
	os.Exit(126)
}

// dieWith lets this process be terminated when its parent ends. It comes late:
// becoming root in the namespace has undone what was set before.
func dieWith(pid string) {
	_ = os.Unsetenv(parent)
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0)
	if pid != strconv.Itoa(os.Getppid()) {
		os.Exit(128 + int(unix.SIGTERM))
	}
}
