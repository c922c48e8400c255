// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
)

// Command is a command to run as root of a new user namespace, with a mount
// namespace of its own.
type Command struct {
	// Path is the program; empty means that Args[0] is looked up in PATH.
	Path string
	// Args are the program's arguments, its name first.
	Args []string
	// Env is the environment; nil means the caller's.
	Env []string
	// Mapping is what the ids of the namespace are.
	Mapping Mapping
	// Interactive leaves the command in the caller's process group, so that a
	// shell has the terminal; an interrupt from the keyboard is the command's
	// business then. Otherwise it has a group of its own, hears of every signal
	// once, from the caller, and is terminated when the caller dies.
	Interactive bool
}

// itself is the running program, also after its file was replaced.
const itself = "/proc/self/exe"

// Itself is the program that runs, with its own arguments.
func Itself() Command { return Command{Path: itself, Args: os.Args} }

// Run runs the command with the caller's standard streams and returns the
// code that it ended with, 128 and the signal's number where a signal ended
// it. Signals that the caller gets meanwhile are passed on. The error is
// ErrUnavailable where there is no such namespace: nothing has run then.
func (c Command) Run(ctx context.Context) (code int, err error) {
	if c.Path == "" {
		if c.Path, err = exec.LookPath(c.Args[0]); err != nil {
			return 0, err
		}
	}
	// The signal for a dead parent comes when the thread dies that started
	// the child (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	child, err := c.start(ctx)
	if err != nil {
		return 0, err
	}
	done := make(chan struct{})
	defer close(done)
	go c.forward(child.Process, signals, done)
	return ended(child.Wait())
}

// start starts the command, in the namespace whose ids are there.
func (c Command) start(ctx context.Context) (child *exec.Cmd, err error) {
	ready, mapped, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	child = exec.Command(itself)
	child.Args = append([]string{stage, strconv.FormatBool(c.Interactive), c.Path}, c.Args...)
	child.Env = c.Env
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{ready}
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		Setpgid:    !c.Interactive,
	}
	err = child.Start()
	if closeErr := ready.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnavailable, err), mapped.Close())
	}
	if err = c.Mapping.write(ctx, child.Process.Pid); err == nil {
		_, err = mapped.Write([]byte{'\n'})
	}
	if err = errors.Join(err, mapped.Close()); err != nil {
		_ = child.Wait() // it ends when the pipe does
		return nil, err
	}
	return child, nil
}

// forward passes signals on. What the keyboard sends goes to the whole
// process group, so an interactive command has it already.
func (c Command) forward(to *os.Process, signals <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			if c.Interactive && (s == syscall.SIGINT || s == syscall.SIGQUIT) {
				continue
			}
			_ = to.Signal(s) // it may have ended
		case <-done:
			return
		}
	}
}

func ended(err error) (code int, _ error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if err == nil {
		return 0, nil
	}
	status := exit.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}
