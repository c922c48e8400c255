// SPDX-License-Identifier: Apache-2.0

package linkedcopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// File gives one file, which is no directory, of the directory from its name in to
// as well. fs.ErrExist where there is one.
func (c *Copier) File(ctx context.Context, to, from *os.File, name string) error {
	if err := durable.Fault(ctx, "link file"); err != nil {
		return err
	}
	f := &filling{Copier: c, to: to, from: from, copied: map[inode]string{}}
	p := &pair{path: ".", from: from, to: to}
	err := f.file(p, name)
	c.add(p.done)
	return err
}

// file gives what is no directory its name in the copy. fs.ErrExist where the
// copy has the name.
func (f *filling) file(p *pair, name string) error {
	if !f.options.Unlinked {
		err := unix.Linkat(int(p.from.Fd()), name, int(p.to.Fd()), name, 0)
		switch err {
		case nil:
			p.done.Links++
			return nil
		case unix.EXDEV, unix.EMLINK, unix.EPERM:
			if p.done.Reason == nil {
				p.done.Reason = &os.LinkError{Op: "link", Old: p.from.Name(), New: p.to.Name(), Err: err}
			}
		default:
			return &os.PathError{Op: "link", Path: path.Join(p.path, name), Err: err}
		}
	}
	return f.unlinked(p, name)
}

// unlinked is a file that cannot be linked. Its names in the layer stay names
// of one file.
func (f *filling) unlinked(p *pair, name string) error {
	found, err := fsat.Find(p.from, name)
	if err != nil {
		return err
	}
	defer found.Close()
	attributes, st, err := fsat.ReadAttributes(found, keep)
	if err != nil {
		return err
	}
	id := inode{uint64(st.Dev), st.Ino}
	if st.Nlink > 1 {
		f.copiedMu.Lock()
		defer f.copiedMu.Unlock()
		if first, ok := f.copied[id]; ok {
			return f.again(p, name, first)
		}
	}
	made, err := f.make(p, name, found, st)
	if err != nil {
		return err
	}
	attributes.Access = fsat.OmitTime()
	err = errors.Join(fsat.SetAttributes(made, attributes, nil), made.Close())
	if err == nil && st.Nlink > 1 {
		f.copied[id] = path.Join(p.path, name)
	}
	return err
}

// again links a further name of a file to the copy of its first one.
func (f *filling) again(p *pair, name, first string) error {
	dir, err := fsat.OpenDir(f.to, path.Dir(first))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Linkat(int(dir.Fd()), path.Base(first), int(p.to.Fd()), name, 0); err != nil {
		return &os.LinkError{Op: "link", Old: first, New: path.Join(p.path, name), Err: err}
	}
	return nil
}

// make makes a file of the type and the content of found, and opens it.
func (f *filling) make(p *pair, name string, found *os.File, st unix.Stat_t) (*os.File, error) {
	at := path.Join(p.path, name)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return f.regular(p, name, found)
	case unix.S_IFLNK:
		target, err := fsat.Readlink(found)
		if err != nil {
			return nil, err
		}
		if err := unix.Symlinkat(target, int(p.to.Fd()), name); err != nil {
			return nil, &os.PathError{Op: "symlink", Path: at, Err: err}
		}
	default:
		if err := unix.Mknodat(int(p.to.Fd()), name, st.Mode&^0o7777|0o600, int(st.Rdev)); err != nil {
			return nil, &os.PathError{Op: "mknod", Path: at, Err: err}
		}
	}
	p.done.Copies++
	return fsat.Find(p.to, name)
}

func (f *filling) regular(p *pair, name string, found *os.File) (_ *os.File, err error) {
	in, err := fsat.Reopen(found)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := fsat.Create(p.to, name, 0o600)
	if err != nil {
		return nil, err
	}
	if !f.options.Uncloned && unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		p.done.Clones++
		return out, nil
	}
	n, err := io.Copy(out, in)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy: %w", err), out.Close())
	}
	p.done.Copies++
	p.done.Bytes += n
	return out, nil
}
