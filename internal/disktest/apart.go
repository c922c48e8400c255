// SPDX-License-Identifier: Apache-2.0

package disktest

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// apartEnv is set in the process that has the namespace, and in all its own.
const apartEnv = "LAYERCTL_TEST_APART"

// Apart runs tests, those of root, in a mount namespace of their own and returns
// their exit code. Other tests at the same time make namespaces too, with copies
// of all the mounts there are; a copy keeps busy what is unmounted here. Their
// temporary directories are those of [InMemory].
//
// It belongs in TestMain, around m.Run.
func Apart(run func() int) int { return InMemory(func() int { return apart(run) }) }

func apart(run func() int) int {
	if os.Geteuid() != 0 || os.Getenv(apartEnv) != "" {
		return run()
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), apartEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		return max(failed.ExitCode(), 1)
	}
	return run() // root that may not: there is nobody to keep apart then
}

// DefaultSignals lets the programs that tests start have the kernel's answer to
// signals of the keyboard and to a hangup. nohup, and a shell that starts a
// command with &, have the command ignore them, and a program inherits what its
// parent ignores; it does not inherit what its parent catches. The tests
// themselves go on ignoring such a signal.
//
// It belongs in TestMain.
func DefaultSignals() {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}
