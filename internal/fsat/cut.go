// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

var errCut = errors.New("not a file of one name and of so many bytes")

// OpenCut opens the regular file name in dir for reading and writing, cuts it to its
// first size bytes, and writes on from there. It fails if the file has other names or
// fewer bytes.
func OpenCut(dir *os.File, name string, size int64) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	fd, err := openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	st, err := Stat(f)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || st.Size < size) {
		err = &os.PathError{Op: "cut", Path: path, Err: errCut}
	}
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
