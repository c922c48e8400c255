// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/quoting"
)

// mountSomehow mounts at point, whose path is target, in the best way that there
// is here: each takes more layers, or says more of what is wrong, than the next.
func (m *Mount) mountSomehow(ctx context.Context, point *os.File, target string) error {
	if m.fuse() {
		return m.mountByFUSE(ctx, target)
	}
	if m.indexed {
		return m.mountIndex(point)
	}
	err := m.mountByDescriptor(point)
	if errors.Is(err, errNotThisWay) {
		err = m.mountByPath(point)
	}
	if errors.Is(err, errNotThisWay) {
		err = m.mountByName(point)
	}
	return err
}

// errNotThisWay: the kernel does not take layers in this way.
var errNotThisWay = errors.New("the kernel takes no layers in this way")

// mountByDescriptor is for Linux 6.13.
func (m *Mount) mountByDescriptor(point *os.File) (err error) {
	store := m.store.Dir()
	if len(m.idmap) > 0 {
		// Open until the overlay is made: the mount ends with it.
		if store, err = m.mappedStore(); err != nil {
			return err
		}
		defer store.Close()
	}
	return m.mountByContext(point, func(c *mounts.Context) error { return m.setDirs(c, store) })
}

// mountByPath is for Linux 6.8, which takes layers one by one, by paths of at
// most 255 bytes. A mapped store has no path.
func (m *Mount) mountByPath(point *os.File) error {
	tooLong := func(name string) bool { return len(filepath.Join(m.LinkDir(), name)) > maxFsconfig }
	if len(m.idmap) > 0 || slices.ContainsFunc(m.names, tooLong) || max(len(quoting.Option(m.upper)), len(quoting.Option(m.work))) > maxFsconfig {
		return errNotThisWay
	}
	return m.mountByContext(point, m.setPaths)
}

// setPaths hands over the layers by their names in l/. The kernel takes a
// layer's path as it is, and unescapes that of upper and work.
func (m *Mount) setPaths(c *mounts.Context) error {
	for i, name := range m.names {
		err := c.Set("lowerdir+", filepath.Join(m.LinkDir(), name))
		if err != nil && i == 0 {
			return errors.Join(errNotThisWay, err)
		}
		if err != nil {
			return err
		}
	}
	if !m.writable() {
		return nil
	}
	return errors.Join(c.Set("upperdir", quoting.Option(m.upper)), c.Set("workdir", quoting.Option(m.work)))
}

// mountByContext mounts by the mount API, with the directories that setDirs
// hands over.
func (m *Mount) mountByContext(point *os.File, setDirs func(*mounts.Context) error) error {
	c, err := mounts.OpenContext("overlay")
	if err != nil {
		return errors.Join(errNotThisWay, err)
	}
	defer c.Close()
	// Before Linux 6.5 fsconfig takes any key from anybody and fails later.
	if c.TakesAnything() {
		return errNotThisWay
	}
	if err := setDirs(c); err != nil {
		return err
	}
	if err := c.Set("source", m.source); err != nil {
		return err
	}
	for _, o := range m.overlayOptions() {
		if err := c.Option(o); err != nil {
			return err
		}
	}
	root, err := c.Mount(m.flagBits().attr)
	if err != nil {
		return err
	}
	return errors.Join(mounts.Attach(root, point), root.Close())
}

// setDirs hands over the layers, seen from the store's directory, and upper and
// work.
func (m *Mount) setDirs(c *mounts.Context, store *os.File) error {
	for i, path := range m.paths {
		dir, err := fsat.Find(store, path)
		if err != nil {
			return err
		}
		err = c.SetDir("lowerdir+", dir)
		dir.Close()
		if err != nil && i == 0 {
			return errors.Join(errNotThisWay, err)
		}
		if err != nil {
			return err
		}
	}
	return m.setWritable(c)
}

// setWritable hands over upper and work.
func (m *Mount) setWritable(c *mounts.Context) error {
	if !m.writable() {
		return nil
	}
	for key, path := range map[string]string{"upperdir": m.upper, "workdir": m.work} {
		dir, err := durable.OpenDir(path)
		if err != nil {
			return err
		}
		if err := errors.Join(c.SetDir(key, dir), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}

// mountByName mounts by mount(2), in a thread of its own whose working
// directory is l/: the process's must stay, and the thread ends with it.
func (m *Mount) mountByName(point *os.File) error {
	options, err := m.Options()
	if err != nil {
		return err
	}
	store := m.store.Dir()
	if len(m.idmap) > 0 {
		if store, err = m.mappedStore(); err != nil {
			return err
		}
		defer store.Close()
	}
	links, err := durable.OpenDirAt(store, filepath.Base(m.LinkDir()))
	if err != nil {
		return err
	}
	defer links.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("unshare the working directory: %w", err)
			}
			if err := unix.Fchdir(int(links.Fd())); err != nil {
				return &os.PathError{Op: "chdir", Path: m.LinkDir(), Err: err}
			}
			return unix.Mount(m.source, mounts.DirPath(point), "overlay", m.flagBits().ms, options)
		}()
	}()
	return <-done
}
