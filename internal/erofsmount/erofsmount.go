// SPDX-License-Identifier: Apache-2.0

// Package erofsmount mounts an EROFS index with the files that it points into:
// from the files themselves (Linux 6.12), or by loop devices, which go with the
// mount.
package erofsmount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/loopdevice"
	"github.com/layerctl/layerctl/internal/mounts"
)

// Options are how to mount. The zero value is right for most.
type Options struct {
	// Attributes are flags MOUNT_ATTR_*, beside that it is read-only.
	Attributes uintptr
	// Options are options of the kernel's, such as "context=…".
	Options []string
	// Loop uses loop devices where files would do, too.
	Loop bool
	// Files uses files alone, also where only loop devices would do.
	Files bool
	// Direct has the files read past the page cache, which else holds them beside
	// the pages of the mount, or fails with ErrUndirected. Where it is false they
	// are so, if that works, on a machine of less than 1 GiB of memory.
	Direct bool
	// Memory is how much the machine has, in bytes; 0 asks the kernel.
	Memory uint64
}

// Open mounts the index, a path below root, an open directory, with devices,
// more such paths, in their order. It returns the root of the mount, attached
// nowhere: it lives as long as it is attached or open.
//
// The mount's source is the index's path below that of root, or its loop device.
func Open(root *os.File, index string, devices []string, o Options) (*os.File, error) {
	path, err := os.Readlink(mounts.DirPath(root))
	if err != nil {
		return nil, err
	}
	direct, err := o.direct(root, index)
	if err != nil {
		return nil, err
	}
	if !o.Loop {
		mounted, err := mountFiles(filepath.Join(path, index), below(root, path, devices), o, direct)
		if !errors.Is(err, unix.ENOTBLK) || o.Files {
			return mounted, err
		}
	}
	f, err := openAll(root, append([]string{index}, devices...))
	defer f.close()
	if err != nil {
		return nil, err
	}
	loops, err := f.loops(direct)
	defer loops.close()
	if err != nil {
		return nil, err
	}
	names := loops.names()
	return mount(names[0], names[1:], o)
}

// below are the same files by paths that fit into the 255 bytes that the kernel
// takes: by that of root, as the index, unless it is too long. The kernel opens each
// once, and nobody else needs to; through /proc that takes it twice as long.
func below(root *os.File, path string, paths []string) []string {
	const most = 255
	for _, p := range paths {
		if len(path)+1+len(p) > most {
			path = mounts.DirPath(root)
			break
		}
	}
	list := make([]string, len(paths))
	for i, p := range paths {
		list[i] = path + "/" + p
	}
	return list
}

// mountFiles is mount by files, which are read past the page cache where direct
// says so, and the kernel (Linux 6.13) knows how, unless it has to.
func mountFiles(source string, devices []string, o Options, direct bool) (*os.File, error) {
	if direct {
		with := o
		with.Options = append([]string{"directio"}, o.Options...)
		mounted, err := mount(source, devices, with)
		if o.Direct || !errors.Is(err, unix.EINVAL) {
			return mounted, err
		}
	}
	return mount(source, devices, o)
}

// mount mounts source with devices, by their paths.
func mount(source string, devices []string, o Options) (*os.File, error) {
	c, err := mounts.OpenContext(mounts.EROFSType)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Set("source", source); err != nil {
		return nil, err
	}
	for _, d := range devices {
		if err := c.Set("device", d); err != nil {
			return nil, err
		}
	}
	for _, option := range append([]string{"ro"}, o.Options...) {
		if err := c.Option(option); err != nil {
			return nil, err
		}
	}
	return c.Mount(o.Attributes | unix.MOUNT_ATTR_RDONLY)
}

// files are open.
type files []*os.File

func openAll(root *os.File, paths []string) (list files, err error) {
	for _, p := range paths {
		f, err := fsat.OpenFile(root, p)
		if err != nil {
			return list, err
		}
		list = append(list, f)
	}
	return list, nil
}

func (l files) close() {
	for _, f := range l {
		f.Close() // only read
	}
}

func (l files) names() (names []string) {
	for _, f := range l {
		names = append(names, f.Name())
	}
	return names
}

// loops are loop devices of the files. They end when they are closed here and
// nothing is mounted from them.
func (l files) loops(direct bool) (loops files, err error) {
	control, err := loopdevice.Control()
	if err != nil {
		return nil, fmt.Errorf("make loop devices: %w", err)
	}
	defer control.Close()
	for _, f := range l {
		d, err := loopdevice.New(control, f, loopdevice.Options{ReadOnly: true, Direct: direct, BlockSize: blockSize})
		if err != nil {
			return loops, fmt.Errorf("make a loop device of %q: %w", f.Name(), err)
		}
		loops = append(loops, d)
	}
	return loops, nil
}
