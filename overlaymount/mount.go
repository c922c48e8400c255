// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/overlaystore"
)

// Mount mounts the image at the directory target. Then it compares the mount that the
// kernel lists with the one that was asked for, because mount(2) returns 0 after
// several mistakes. From Linux 6.13 on layers are handed over by descriptor, so that
// neither their number nor the length of the store's path matters; before that they
// are handed over by short names. The error has the kernel's own message if there is
// one.
func (m *Mount) Mount(ctx context.Context, target string) error {
	if err := m.mount(ctx, target); err != nil {
		return fmt.Errorf("mount at %q: %w", target, err)
	}
	return nil
}

func (m *Mount) mount(ctx context.Context, target string) error {
	target, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	point, err := fsat.OpenPlace(target)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &NoMountPointError{err}
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("the mount point is no directory: %w", err)
	case err != nil:
		return err
	}
	defer point.Close()
	// By the path that the kernel reports, nobody can lead the mount elsewhere.
	if target, err = os.Readlink(mounts.DirPath(point)); err != nil {
		return err
	}
	unlock, err := m.store.Share(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if !m.indexed { // openIndex finds missing files of an index
		if err := m.complete(); err != nil {
			return err
		}
	}
	if err := durable.Fault(ctx, "mount"); err != nil {
		return err
	}
	if err := m.mountSomehow(ctx, point, target); err != nil {
		return explainErrno(err)
	}
	if err := errors.Join(m.propagate(target), m.check(ctx, target)); err != nil {
		return errors.Join(err, mounts.Detach(target))
	}
	return nil
}

// complete fails if a path of the mount is no longer in the store.
func (m *Mount) complete() error {
	for _, path := range m.paths {
		if ok, err := fsat.Exists(m.store.Dir(), path); err != nil || !ok {
			return errors.Join(fmt.Errorf("lower dir %s: %w", path, overlaystore.ErrNotFound), err)
		}
	}
	return nil
}

// explainErrno adds to an error of mount(2) what it means here.
func explainErrno(err error) error {
	switch {
	case errors.Is(err, overlaystore.ErrUnsupported):
		return err
	case errors.Is(err, unix.EPERM) && os.Geteuid() == 0 && !probe.AllIDs():
		return fmt.Errorf("this kernel does not let a user namespace mount overlayfs (Linux 5.11), and fuse-overlayfs, which needs no kernel, is not on the PATH or not wanted: %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("mounting needs root (CAP_SYS_ADMIN), or a user namespace of your own: %w", err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("this kernel has no overlayfs (modprobe overlay): %w", err)
	case errors.Is(err, unix.EINVAL) && !strings.Contains(err.Error(), "("):
		return fmt.Errorf("%w (dmesg has the kernel's words)", err)
	}
	return err
}

// propagate sets the kind of propagation. Without it a new mount has that of the mount
// that it is on.
func (m *Mount) propagate(target string) error {
	if m.chosen.propagation == "" {
		return nil
	}
	if err := unix.Mount("", target, "", propagations()[m.chosen.propagation], ""); err != nil {
		return fmt.Errorf("make the mount %s: %w", m.chosen.propagation, err)
	}
	return nil
}

// check compares the topmost mount at target with the one that was asked for.
func (m *Mount) check(ctx context.Context, target string) error {
	e, ok, err := mounts.At(ctx, target)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("no mount at %q: %w", target, overlaystore.ErrNotFound)
	}
	wrong := func(what string, got, want any) error {
		return fmt.Errorf("%w: the kernel mounted something else: %s is %v instead of %v", overlaystore.ErrUnsupported, what, got, want)
	}
	switch {
	case e.Type != m.Type():
		return wrong("the type", e.Type, m.Type())
	case e.Source != m.source && !(m.indexed && strings.HasPrefix(e.Source, "/dev/loop")):
		return wrong("the source", e.Source, m.source)
	}
	if err := m.checkWrites(e); err != nil {
		return err
	}
	for _, flag := range m.chosen.flags {
		if !slices.Contains(e.Options, flag) {
			return wrong("the flag "+flag, "off", "on")
		}
	}
	return m.checkLower(e.Lower())
}

// checkWrites compares whether the mount is writable, and where it writes. If the
// kernel cannot write to the work directory, it mounts read-only and returns 0.
func (m *Mount) checkWrites(e mounts.Entry) error {
	switch {
	case !m.writable() && !e.ReadOnly():
		return fmt.Errorf("%w: the kernel mounted it writable instead of read-only", overlaystore.ErrUnsupported)
	case !m.writable():
		return nil
	case e.ReadOnly():
		return fmt.Errorf("%w: the kernel mounted it read-only, for it cannot write to the work dir %q (immutable? no inodes left?)", overlaystore.ErrUnsupported, m.work)
	case !slices.Contains(e.Dirs("upperdir"), m.upper) && !strings.HasSuffix(e.Option("upperdir"), "/"+m.pair+"/upper"):
		return fmt.Errorf("%w: the kernel mounted it with the upper dir %q instead of %q", overlaystore.ErrUnsupported, e.Upper(), m.upper)
	}
	return nil
}

// NoMountPointError says that the directory to mount at does not exist.
type NoMountPointError struct{ err error }

// Error names the directory.
func (e *NoMountPointError) Error() string { return "the mount point does not exist: " + e.err.Error() }

// Unwrap returns the error of the operating system.
func (e *NoMountPointError) Unwrap() error { return e.err }
