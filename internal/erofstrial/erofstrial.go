// SPDX-License-Identifier: Apache-2.0

// Package erofstrial finds out by a real mount of a few kilobytes whether
// images whose layers are tars can be mounted here, and how: what a kernel's
// release says is not enough, for EROFS may be left out of it, and what it
// counts as a level of stacking has changed.
package erofstrial

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/erofs"
	"github.com/layerctl/layerctl/internal/erofsfuse"
	"github.com/layerctl/layerctl/internal/erofsmount"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/layer"
)

// Found is what was found. Each error is nil for what goes.
type Found struct {
	// Kernel is why the kernel has no EROFS for this process at all.
	Kernel error
	// Mount is why it does not mount blocks of 512 bytes whose data is on another
	// device, be it from files or by loop devices.
	Mount error
	// Files is why loop devices are needed.
	Files error
	// Direct is why the page cache holds what is read twice.
	Direct error
	// Overlay is why no overlay goes on top of it.
	Overlay error
}

const (
	indexFile, deviceFile, empty = "index", "device", "empty"
	name, content                = "file", "trial\n"
)

// Try tries it in a directory below root, which it removes. The error is that of
// a filesystem that cannot be written to.
func Try(root *os.File) (found Found, err error) {
	c, err := mounts.OpenContext(mounts.EROFSType)
	if err != nil {
		return Found{Kernel: err}, nil
	}
	if err := c.Close(); err != nil {
		return Found{}, err
	}
	err = within(root, func(dir *os.File) error {
		found = mount(dir)
		return nil
	})
	return found, err
}

// TryProgram tries erofsfuse in the same way. It takes root, of a user namespace
// at least.
func TryProgram(ctx context.Context, root *os.File) error {
	return within(root, func(dir *os.File) error {
		path, err := os.Readlink(mounts.DirPath(dir))
		if err != nil {
			return err
		}
		m := erofsfuse.Mount{Dir: path, Index: indexFile, Devices: []string{deviceFile}}
		return m.Within(ctx, "merged", func(root *os.File, _ string) error { return check(root) })
	})
}

// within calls try with a directory below root that has an index and its device.
func within(root *os.File, try func(dir *os.File) error) (err error) {
	at := probe.Prefix + rand.Text()
	if err := unix.Mkdirat(int(root.Fd()), at, 0o700); err != nil {
		return &os.PathError{Op: "mkdir", Path: root.Name() + "/" + at, Err: err}
	}
	dir, err := durable.OpenDirAt(root, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close(), fsat.RemoveAll(root, at)) }()
	if err := fill(dir); err != nil {
		return err
	}
	return try(dir)
}

// fill makes an index of one file, whose content is in the second block of a
// device.
func fill(dir *os.File) error {
	device := make([]byte, 2*erofs.BlockSize)
	copy(device[erofs.BlockSize:], content)
	now := time.Unix(1, 0)
	tree := func(add func(erofs.Entry) error) error {
		return errors.Join(
			add(erofs.Entry{Path: ".", Inode: erofs.Inode{Type: layer.Directory, Mode: 0o755, ModTime: now}}),
			add(erofs.Entry{Path: name, Inode: erofs.Inode{Type: layer.Regular, Mode: 0o644, ModTime: now, Size: int64(len(content)), Extents: []erofs.Extent{{Size: int64(len(content)), At: erofs.BlockSize}}}}))
	}
	if err := unix.Mkdirat(int(dir.Fd()), empty, 0o755); err != nil {
		return err
	}
	return errors.Join(
		write(dir, deviceFile, func(f *os.File) error { _, err := f.Write(device); return err }),
		write(dir, indexFile, func(f *os.File) error {
			_, err := erofs.Write(f, []erofs.Device{{Size: int64(len(device))}}, tree)
			return err
		}))
}

func write(dir *os.File, name string, fill func(*os.File) error) error {
	f, err := fsat.Create(dir, name, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
}

func mount(dir *os.File) (found Found) {
	root, err := erofsmount.Open(dir, indexFile, []string{deviceFile}, erofsmount.Options{Files: true})
	if found.Files = err; err != nil {
		root, err = erofsmount.Open(dir, indexFile, []string{deviceFile}, erofsmount.Options{Loop: true})
	}
	if err != nil {
		found.Mount = err
		return found
	}
	defer root.Close()
	if found.Mount = check(root); found.Mount == nil {
		found.Overlay = overlay(root, dir)
		found.Direct = direct(dir)
	}
	return found
}

// direct mounts it to be read past the page cache.
func direct(dir *os.File) error {
	root, err := erofsmount.Open(dir, indexFile, []string{deviceFile}, erofsmount.Options{Direct: true})
	if err != nil {
		return err
	}
	defer root.Close()
	return check(root)
}

// check reads what is mounted.
func check(root *os.File) error {
	f, err := os.Open(mounts.DirPath(root) + "/" + name)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err == nil && string(got) != content {
		err = fmt.Errorf("it reads %q where %q is", got, content)
	}
	return err
}

// overlay puts one over the mounted root, and an empty directory, for the kernel
// wants two.
func overlay(root, dir *os.File) error {
	below, err := fsat.OpenDir(dir, empty)
	if err != nil {
		return err
	}
	defer below.Close()
	c, err := mounts.OpenContext(mounts.OverlayType)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, lower := range []*os.File{root, below} {
		if err := c.SetDir("lowerdir+", lower); err != nil {
			return err
		}
	}
	over, err := c.Mount(unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return err
	}
	defer over.Close()
	return check(over)
}
