// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/fsat"
)

// outputBuffer is how many bytes of small writes are collected for one system call.
const outputBuffer = 256 << 10

// WriteOutput calls write with a writer to the file of --output, or to standard output.
// A regular file appears, or is replaced, only when all of it is on the disk. Any other
// file, such as a pipe or /dev/null, is written directly. A terminal is an error.
func WriteOutput(c *cli.Context, write func(io.Writer) error) error {
	name := c.String("output")
	if name == "-" {
		return writeStream(c.App.Writer, write)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil || info.Mode().IsRegular():
		return writeFile(c, name, write)
	case info.IsDir():
		return &args.UsageError{Problem: fmt.Sprintf("--output %s is a directory", name), Advice: "name a file in it"}
	}
	// /dev/stdout leads to a link of /proc, which only the kernel can follow.
	dir, _, err := fsat.FindPlace(name)
	if err == nil {
		err = dir.Close()
	}
	if errors.Is(err, unix.ELOOP) {
		return err
	}
	// The open of a pipe blocks until somebody reads from it.
	f, err := terminal.Await(c.Context, func() (*os.File, error) { return os.OpenFile(name, os.O_WRONLY, 0) })
	if err != nil {
		return err
	}
	return Closing(writeStream(terminal.NewOutput(c.Context, f), write), f)
}

func writeStream(w io.Writer, write func(io.Writer) error) error {
	if terminal.Is(w) {
		return &args.UsageError{Problem: "this is binary, and nothing for a terminal", Advice: "name a file with -o, or pipe it into a command"}
	}
	b := bufio.NewWriterSize(w, outputBuffer)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}

// writeFile writes a file that gets its name when it is complete. If path is a symbolic
// link, the file that it leads to is replaced, by the rules of [fsat.FindPlace].
func writeFile(c *cli.Context, path string, write func(io.Writer) error) (err error) {
	dir, name, err := fsat.FindPlace(path)
	if err != nil {
		return err
	}
	defer func() { err = Closing(err, dir) }()
	temp := fmt.Sprintf(".%.100s.%s.part", name, rand.Text()[:8])
	f, named, err := createOutput(dir, temp, path)
	var refused *fs.PathError
	if errors.As(err, &refused) {
		refused.Path = path // the name that the user knows
	}
	if err != nil {
		return err
	}
	at := int(dir.Fd())
	defer func() {
		if err != nil && named {
			err = errors.Join(err, unix.Unlinkat(at, temp, 0))
		}
	}()
	err = writeStream(f, write)
	if err == nil && !c.Bool("no-sync") {
		err = f.Sync()
	}
	if err == nil && !named {
		err = unix.Linkat(unix.AT_FDCWD, procName(int(f.Fd())), at, temp, unix.AT_SYMLINK_FOLLOW)
		named = err == nil
	}
	if err = Closing(err, f); err != nil {
		return err
	}
	if err := unix.Renameat(at, temp, at, name); err != nil {
		return &os.LinkError{Op: "rename", Old: temp, New: path, Err: err}
	}
	return nil
}

// createOutput makes a file without a name in dir, which is gone when this process ends.
// If the filesystem has no such files, or /proc, by which they get names, is missing, the
// file has the name temp, and named is true. path is its name in messages.
func createOutput(dir *os.File, temp, path string) (f *os.File, named bool, err error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o666)
	if err == nil && unix.Access(procName(fd), unix.F_OK) == nil {
		return os.NewFile(uintptr(fd), path), false, nil
	}
	if err == nil {
		_ = unix.Close(fd) // nothing was written
	}
	f, err = fsat.Create(dir, temp, 0o666)
	return f, true, err
}

func procName(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
