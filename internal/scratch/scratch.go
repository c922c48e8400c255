// SPDX-License-Identifier: Apache-2.0

// Package scratch makes files without a name, for what a process needs on
// disk and nobody after it: closing the file frees its space, and so does the
// end of the process, whatever ended it.
package scratch

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
)

// Dir is where large files belong that nobody keeps: $TMPDIR, else /var/tmp,
// because /tmp often is memory.
func Dir() string {
	if dir := os.Getenv("TMPDIR"); dir != "" {
		return dir
	}
	if st, err := os.Stat("/var/tmp"); err == nil && st.IsDir() {
		return "/var/tmp"
	}
	return os.TempDir()
}

// Open makes a file without a name in a directory. Where the filesystem knows
// no such files it has a name for an instant.
func Open(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir), nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("make a temporary file: %w", &os.PathError{Op: "open", Path: dir, Err: err})
	}
	f, err := os.CreateTemp(dir, "layerctl-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Free is how many bytes an ordinary user can still write to the filesystem
// that a file is on.
func Free(f *os.File) (int64, error) {
	space, err := fsat.Free(int(f.Fd()))
	if err != nil {
		return 0, &os.PathError{Op: "statfs", Path: f.Name(), Err: err}
	}
	return space.Bytes, nil
}
