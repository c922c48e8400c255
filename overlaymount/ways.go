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

// mountSomehow mounts at point, whose path is target, in the best way that this kernel
// has. Each way takes more layers, or gives better errors, than the next one.
func (m *Mount) mountSomehow(ctx context.Context, point *os.File, target string) error {
	if m.fuse() {
		return m.mountByFUSE(ctx, target)
	}
	if m.erofsFUSE() {
		return m.mountByEROFSFUSE(ctx, point, target)
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

// errNotThisWay says that the kernel does not take layers in the way that was tried.
var errNotThisWay = errors.New("the kernel takes no layers in this way")

// mountByDescriptor hands the layers over by descriptors, which Linux 6.13 takes.
func (m *Mount) mountByDescriptor(point *os.File) (err error) {
	store := m.store.Dir()
	if len(m.idmap) > 0 {
		// It stays open until the overlay is made, because closing it ends the mount.
		if store, err = m.mappedStore(); err != nil {
			return err
		}
		defer store.Close()
	}
	return m.mountByContext(point, func(c *mounts.Context) error { return m.setDirs(c, store) })
}

// mountByPath hands the layers over one by one, by paths of at most 255 bytes, which
// Linux 6.8 takes. An id-mapped store has no path.
func (m *Mount) mountByPath(point *os.File) error {
	tooLong := func(name string) bool { return len(filepath.Join(m.LinkDir(), name)) > maxFsconfig }
	if len(m.idmap) > 0 || slices.ContainsFunc(m.names, tooLong) || max(len(quoting.Option(m.upper)), len(quoting.Option(m.work))) > maxFsconfig {
		return errNotThisWay
	}
	return m.mountByContext(point, m.setPaths)
}

// setPaths hands over the layers by their names in l/. The kernel takes the path of a
// layer as it is, but unescapes those of upper and work.
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

// mountByContext mounts by the mount API; setDirs hands over the directories.
func (m *Mount) mountByContext(point *os.File, setDirs func(*mounts.Context) error) error {
	c, err := mounts.OpenContext("overlay")
	if err != nil {
		return errors.Join(errNotThisWay, err)
	}
	defer c.Close()
	// Before Linux 6.5 fsconfig(2) accepts any key, and the mount fails later.
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

// setDirs hands over the layers, by their paths below store, and upper and work.
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

// mountByName mounts by mount(2) with names relative to l/. It runs in a thread of its
// own, whose working directory is l/, because that of the process must not change. The
// thread ends afterwards.
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
