// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/erofsfuse"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/overlaystore"
)

// Driver says what mounts the layers.
type Driver string

// The drivers.
const (
	// AutoDriver is the kernel, except for callers for whom it does not mount: in a
	// user namespace that may not mount overlayfs (before Linux 5.11) it is
	// fuse-overlayfs, and for layers that are tars without the kernel's EROFS it is
	// erofsfuse, if these are on the PATH.
	AutoDriver Driver = ""
	// KernelDriver is the kernel's overlayfs and EROFS.
	KernelDriver Driver = "kernel"
	// FUSEDriver is the program fuse-overlayfs. It is slower, and each mount is a
	// process.
	FUSEDriver Driver = mounts.FUSEProgram
	// EROFSFUSEDriver is the program erofsfuse, for layers that are tars: slower, and
	// one process a mount. A writable mount is the kernel's overlayfs over it.
	EROFSFUSEDriver Driver = erofsfuse.Program
)

// fuse reports whether fuse-overlayfs makes the mount.
func (m *Mount) fuse() bool { return m.driver == FUSEDriver }

// erofsFUSE reports whether erofsfuse mounts the index.
func (m *Mount) erofsFUSE() bool { return m.driver == EROFSFUSEDriver }

// byProgram reports whether a program makes the mount.
func (m *Mount) byProgram() bool { return m.fuse() || m.erofsFUSE() }

// Type returns the filesystem type that mountinfo shows for the mount.
func (m *Mount) Type() string {
	switch {
	case m.fuse():
		return mounts.FUSEType
	case m.writable() || !m.indexed:
		return mounts.OverlayType
	case m.erofsFUSE():
		return mounts.EROFSFUSEType
	}
	return mounts.EROFSType
}

// chooseDriver chooses the driver, and refuses options that it does not have.
func (m *Mount) chooseDriver(ctx context.Context, wanted Driver, writable bool) error {
	if wanted == AutoDriver && m.indexed {
		wanted = indexDriver()
	}
	m.driver = wanted
	switch wanted {
	case KernelDriver:
		return nil
	case AutoDriver:
		m.driver = KernelDriver
		if _, err := exec.LookPath(string(FUSEDriver)); err != nil || m.kernelMounts() {
			return nil
		}
		m.driver = FUSEDriver
	case FUSEDriver:
		if _, err := exec.LookPath(string(FUSEDriver)); err != nil {
			return fmt.Errorf("%w: %w; the package has the program's name", overlaystore.ErrUnsupported, err)
		}
	case EROFSFUSEDriver:
		return m.checkEROFSFUSE(ctx, writable)
	default:
		return fmt.Errorf("%w: there is no driver %q", overlaystore.ErrUnsupported, wanted)
	}
	if err := m.checkFUSE(); err != nil || os.Geteuid() != 0 {
		return err // an ordinary user who only prints cannot try
	}
	return m.tryFUSE(ctx)
}

// kernelMounts reports whether the kernel lets the caller mount overlayfs. In a user
// namespace it tries that.
func (m *Mount) kernelMounts() bool {
	if os.Geteuid() != 0 || probe.AllIDs() {
		return true
	}
	c, err := mounts.OpenContext(mounts.OverlayType)
	if err != nil {
		return !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENODEV)
	}
	defer c.Close()
	lower := mounts.DirPath(m.store.Dir()) + "/" + m.paths[0] + ":" + mounts.DirPath(m.store.Dir()) + "/" + m.paths[1]
	if c.Set("source", m.source) != nil || c.Set("lowerdir", lower) != nil {
		return true // mounting will report the error
	}
	root, err := c.Mount(unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return !errors.Is(err, unix.EPERM)
	}
	return root.Close() == nil
}

// checkFUSE refuses options that fuse-overlayfs does not have, because it ignores
// options that it does not know.
func (m *Mount) checkFUSE() error {
	lacks := func(what string) error {
		return fmt.Errorf("%w: fuse-overlayfs has no %s; the kernel's overlayfs has", overlaystore.ErrUnsupported, what)
	}
	switch {
	case len(m.idmap) > 0:
		return lacks("id-mapped layers")
	case m.volatile:
		return lacks("mark by which a crash of a volatile mount is noticed")
	case len(m.chosen.overlay) > 0:
		return lacks("option " + m.chosen.overlay[0])
	case slices.Contains(m.chosen.flags, "nodiratime"), slices.Contains(m.chosen.flags, "nosymfollow"):
		return lacks("nodiratime and nosymfollow")
	}
	return nil
}

// fuseOptions returns the options for fuse-overlayfs, which runs in the directory
// LinkDir. People and [overlaystore.Store.Mounts] read fsname in the list of
// processes; versions before 1.11 ignore it.
func (m *Mount) fuseOptions() (string, error) {
	if m.pair == "" && strings.ContainsAny(m.upper+m.work, `,:\"`) {
		return "", fmt.Errorf("%w: upper %q or work %q has a comma, a colon, a backslash or a quotation mark, for which fuse-overlayfs has no form", overlaystore.ErrUnsupported, m.upper, m.work)
	}
	o := []string{"fsname=" + m.source, "lowerdir=" + strings.Join(m.names, ":")}
	if m.writable() {
		upper, work := m.upperAndWork()
		o = append(o, "upperdir="+upper, "workdir="+work)
	}
	flags := slices.DeleteFunc(m.Flags(), func(f string) bool { return f == "rw" || f == m.chosen.propagation })
	return strings.Join(append(flags, o...), ","), nil
}

// mountByFUSE starts fuse-overlayfs, and returns once it has mounted.
func (m *Mount) mountByFUSE(ctx context.Context, target string) error {
	options, err := m.fuseOptions()
	if err != nil {
		return err
	}
	return runFUSE(ctx, m.LinkDir(), options, target)
}

func runFUSE(ctx context.Context, dir, options, target string) error {
	cmd := exec.CommandContext(ctx, string(FUSEDriver), "-o", options, target)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		const most = 500 // bytes, for an error in one line
		return fmt.Errorf("fuse-overlayfs (it takes /dev/fuse, and the right to open it): %w: %.*q", err, most, strings.TrimSpace(string(out)))
	}
	return nil
}

// tryFUSE makes a trial mount to see whether fuse-overlayfs mounts at all, and whether
// this version knows the whiteouts of the store's form. A version that does not would
// show deleted files.
func (m *Mount) tryFUSE(ctx context.Context) (err error) {
	if err := durable.Fault(ctx, "try fuse-overlayfs"); err != nil {
		return err
	}
	name := probe.Prefix + rand.Text()
	if err := unix.Mkdirat(int(m.store.Dir().Fd()), name, 0o700); err != nil {
		return &os.PathError{Op: "mkdir", Path: filepath.Join(m.store.Path(), name), Err: err}
	}
	defer func() { err = errors.Join(err, fsat.RemoveAll(m.store.Dir(), name)) }()
	dir, err := durable.OpenDirAt(m.store.Dir(), name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := errors.Join(probe.FillTrial(dir, m.store.Format().Form), unix.Mkdirat(int(dir.Fd()), "merged", 0o700)); err != nil {
		return fmt.Errorf("prepare a trial mount: %w", err)
	}
	merged := filepath.Join(m.store.Path(), name, "merged")
	if err := runFUSE(ctx, filepath.Join(m.store.Path(), name), "ro,lowerdir=upper:lower", merged); err != nil {
		return fmt.Errorf("%w: %w", overlaystore.ErrUnsupported, err)
	}
	root, err := os.Open(merged)
	if err == nil {
		err = errors.Join(probe.CheckTrial(root), root.Close())
	}
	if err = errors.Join(err, unix.Unmount(merged, unix.MNT_DETACH)); err != nil {
		return fmt.Errorf("%w: fuse-overlayfs and whiteouts in the form %q: %w", overlaystore.ErrUnsupported, m.store.Format().Whiteouts, err)
	}
	return nil
}
