// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Files returns the files below dir as a process sees them whose root directory is
// dir: symbolic links are followed, but never lead out of dir. Only regular files can
// be opened; for others the error is [ErrNotRegular].
func Files(dir *os.File) fs.FS { return files{dir} }

type files struct{ dir *os.File }

// Open implements [fs.FS].
func (f files) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	found, err := newFile(f.dir, name)(openInRoot(int(f.dir.Fd()), name))
	if err != nil {
		return nil, err
	}
	defer found.Close()
	return Reopen(found)
}

// openInRoot opens a file with O_PATH. Without openat2(2) a symbolic link in the path
// is an error.
func openInRoot(dir int, name string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for range 100 {
		fd, err := unix.Openat2(dir, name, &how)
		switch err {
		case unix.EINTR, unix.EAGAIN:
		case unix.ENOSYS, unix.EPERM:
			return findFD(dir, name)
		default:
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}
