// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
)

// content gives access to the files of one layer.
type content interface {
	// open opens a regular file.
	open(f stackview.File) (io.ReadSeekCloser, error)
	// put makes f, which is no directory, at name in dir. made is false for a device
	// that may not be made.
	put(m *maker, dir *os.File, name string, f stackview.File) (made bool, err error)
}

// staged is a layer that was unpacked for this tree only: its files are moved, with
// the attributes that they have. It must be on the filesystem of the new tree.
type staged struct{ dir *os.File }

func (s staged) put(m *maker, dir *os.File, name string, f stackview.File) (bool, error) {
	from, err := fsat.FindOwned(s.dir, path.Dir(f.From))
	if err != nil {
		return false, err
	}
	defer from.Close()
	if err := unix.Renameat(int(from.Fd()), path.Base(f.From), int(dir.Fd()), name); err != nil {
		return false, &os.LinkError{Op: "rename", Old: f.From, New: f.Path, Err: err}
	}
	if mode := m.mode(f.Entry); f.Type != layer.Symlink && mode != f.Mode {
		if err := fsat.ChmodAtFD(int(dir.Fd()), name, mode); err != nil {
			return false, &os.PathError{Op: "chmod", Path: f.Path, Err: err}
		}
	}
	return true, nil
}

// open opens a regular file of the layer. Where the file's mode forbids its owner to
// read, open changes the mode: nobody else uses the file, and the journal has its
// mode.
func (s staged) open(f stackview.File) (io.ReadSeekCloser, error) {
	found, err := fsat.FindOwned(s.dir, f.From)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	file, err := fsat.Reopen(found)
	if errors.Is(err, fs.ErrPermission) {
		if err := fsat.ChmodFD(int(found.Fd()), 0o400); err != nil {
			return nil, err
		}
		file, err = fsat.Reopen(found)
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

// inStore is a layer of a store: its files are copied, and the copies get the
// attributes of their entries.
type inStore struct{ files stored.Files }

func (s inStore) open(f stackview.File) (io.ReadSeekCloser, error) { return s.files.Open(f) }

func (s inStore) put(m *maker, dir *os.File, name string, f stackview.File) (bool, error) {
	fd := int(dir.Fd())
	var err error
	switch f.Type {
	case layer.Regular:
		return true, s.copy(m, dir, name, f)
	case layer.Symlink:
		err = unix.Symlinkat(f.Linkname, fd, name)
	case layer.FIFO:
		err = unix.Mknodat(fd, name, unix.S_IFIFO|0o600, 0)
	default:
		format := uint32(unix.S_IFBLK)
		if f.Type == layer.CharDevice {
			format = unix.S_IFCHR
		}
		if m.o.noDevices {
			err = unix.EPERM
		} else {
			err = unix.Mknodat(fd, name, format|0o600, int(unix.Mkdev(f.Major, f.Minor)))
		}
		if err == unix.EPERM {
			m.o.leftOut(layer.NoteDevice)
			return false, nil
		}
	}
	if err != nil {
		return false, &os.PathError{Op: "make", Path: f.Path, Err: err}
	}
	node, err := fsat.Find(dir, name)
	if err != nil {
		return false, err
	}
	defer node.Close()
	return true, m.describe(node, f.Entry)
}

func (s inStore) copy(m *maker, dir *os.File, name string, f stackview.File) (err error) {
	in, err := s.files.Open(f)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := fsat.Create(dir, name, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if whole, ok := in.(*os.File); !ok || unix.IoctlFileClone(int(out.Fd()), int(whole.Fd())) != nil {
		// io.Copy lets the kernel copy between two files (copy_file_range(2)).
		if _, err := io.Copy(out, in); err != nil {
			return fmt.Errorf("copy %.200q: %w", f.Path, err)
		}
	}
	return m.describe(out, f.Entry)
}
