// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/overlaystore"
)

// checkWritable refuses upper and work directories that the kernel would refuse with
// a bare EINVAL, mount read-only or with features missing, or let two mounts write to
// (https://docs.kernel.org/filesystems/overlayfs.html, upper and work).
func (m *Mount) checkWritable(ctx context.Context) error {
	inUse := func() error { return m.checkUse(ctx) }
	for _, check := range []func() error{m.checkPlaces, m.checkFilesystem, inUse, m.checkDriver, m.checkVolatile, m.tryWork} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// within reports whether path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func (m *Mount) checkPlaces() error {
	upper, work := m.upper, m.work
	switch {
	case upper == work:
		return fmt.Errorf("%w: upper and work are the same directory %q; make one beside the other", overlaystore.ErrUnsupported, upper)
	case within(work, upper), within(upper, work):
		return fmt.Errorf("%w: of upper %q and work %q one is inside the other; make one beside the other", overlaystore.ErrUnsupported, upper, work)
	}
	if m.pair == "" {
		return m.checkOutsideStore()
	}
	return nil
}

func (m *Mount) checkOutsideStore() error {
	store, err := filepath.EvalSymlinks(m.store.Path())
	if err != nil {
		return err
	}
	for _, dir := range []string{m.upper, m.work} {
		if within(dir, store) || within(store, dir) {
			return fmt.Errorf("%w: %q overlaps the store %q, whose layers must not change while they are mounted", overlaystore.ErrUnsupported, dir, store)
		}
	}
	return nil
}

// Filesystems that overlayfs refuses for an upper directory, or cannot use reliably
// (linux/magic.h).
const (
	overlayMagic = 0x794c7630
	fuseMagic    = 0x65735546
	nfsMagic     = 0x6969
	fatMagic     = 0x4d44
)

func (m *Mount) checkFilesystem() error {
	statx := [2]unix.Statx_t{}
	for i, dir := range []string{m.upper, m.work} {
		if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID|unix.STATX_BASIC_STATS, &statx[i]); err != nil {
			return &os.PathError{Op: "stat", Path: dir, Err: err}
		}
	}
	a, b := statx[0], statx[1]
	if a.Dev_major != b.Dev_major || a.Dev_minor != b.Dev_minor || a.Mnt_id != b.Mnt_id {
		return fmt.Errorf("%w: upper %q and work %q are on different mounts: files move between them by rename, so they must be in the same mount of the same filesystem", overlaystore.ErrUnsupported, m.upper, m.work)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(m.upper, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: m.upper, Err: err}
	}
	kinds := map[int64]string{overlayMagic: "overlayfs", fuseMagic: "FUSE", nfsMagic: "NFS", fatMagic: "FAT"}
	if kind, refused := kinds[int64(st.Type)]; refused {
		return fmt.Errorf("%w: upper %q is on %s, which overlayfs cannot write to; use ext4, xfs, btrfs or tmpfs", overlaystore.ErrUnsupported, m.upper, kind)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("upper %q is on a filesystem mounted read-only: %w", m.upper, unix.EROFS)
	}
	return nil
}

// checkUse fails if another overlay writes to the directories. The kernel permits a
// second one, but then the behaviour of both is undefined.
func (m *Mount) checkUse(ctx context.Context) error {
	var found error
	err := mounts.Each(ctx, func(proc string, e mounts.Entry) {
		for _, dir := range append(e.Dirs("upperdir"), e.Dirs("workdir")...) {
			if (dir == m.upper || dir == m.work) && mayUse(ctx, proc, e, m.upper) {
				found = fmt.Errorf("%w: %q is in use by the mount at %q (seen by process %s)", overlaystore.ErrBusy, dir, e.Target, proc)
			}
		}
	})
	return errors.Join(found, err)
}

// mayUse reports whether a mount whose options name an upper directory may really use
// it. The options of a mount that another user made may name any directory.
func mayUse(ctx context.Context, proc string, e mounts.Entry, upper string) bool {
	uid, err := mounts.Owner(proc, e)
	if err == nil && uid == os.Geteuid() {
		return true
	}
	has, ok := mounts.Root(ctx, proc, e)
	want, err := mounts.IdentityOf(upper)
	return ok && err == nil && has == want
}

// checkDriver refuses an upper directory to which the other driver wrote: deleted
// files would be visible again. fuse-overlayfs marks an opaque directory by
// user.fuseoverlayfs.opaque, which the kernel does not read.
func (m *Mount) checkDriver() error {
	w, ok := readWriting(m.work)
	if !ok || (w.Driver == FUSEDriver) == m.fuse() {
		return nil
	}
	if names, err := os.ReadDir(m.upper); err != nil || len(names) == 0 {
		return err
	}
	by := cmp.Or(w.Driver, KernelDriver)
	return fmt.Errorf("%w: upper %q was written to by the driver %s, whose marks of what is deleted the other does not know: go on with that one, or begin with a new upper", overlaystore.ErrUnsupported, m.upper, by)
}

// checkVolatile handles the mark that a volatile mount leaves in its work directory,
// also after a clean unmount, and for which the kernel refuses the next mount. In the
// same boot nothing is lost, and checkVolatile removes the mark. Otherwise the user
// must know, and it fails.
func (m *Mount) checkVolatile() error {
	left := filepath.Join(m.work, "work", "incompat")
	if _, err := os.Lstat(filepath.Join(left, "volatile")); err != nil {
		return nil
	}
	boot, err := durable.BootID()
	if err != nil {
		return err
	}
	if w, ok := readWriting(m.work); ok && w.Boot == boot {
		inner, err := durable.OpenDir(filepath.Dir(left))
		if err != nil {
			return err
		}
		return errors.Join(fsat.RemoveAll(inner, "incompat"), inner.Close())
	}
	return &volatileError{Upper: m.upper, Work: m.work}
}

// volatileError says that a volatile mount wrote to an upper directory, and that the
// machine was, or may have been, started again since: any file may have lost what was
// not synced.
type volatileError struct{ Upper, Work string }

func (e *volatileError) Error() string {
	return fmt.Sprintf("upper %q was last written by a volatile mount in another boot: after a crash or power cut files in it may be lost or damaged", e.Upper)
}

// Hint says how to go on.
func (e *volatileError) Hint() string {
	return fmt.Sprintf("look whether the files are right, or begin with a new upper; then remove %s", filepath.Join(e.Work, "work", "incompat"))
}

// Unwrap returns [overlaystore.ErrDamaged].
func (e *volatileError) Unwrap() error { return overlaystore.ErrDamaged }

// tryWork tries in a new directory what overlayfs will need. Where that fails,
// overlayfs mounts read-only or without features, and mount(2) returns 0.
func (m *Mount) tryWork() (err error) {
	dir, err := durable.OpenDir(m.work)
	if err != nil {
		return err
	}
	defer dir.Close()
	name := probe.Prefix + rand.Text()
	if err := unix.Mkdirat(int(dir.Fd()), name, 0o700); err != nil {
		return fmt.Errorf("work %q cannot be written to (is it immutable, is the filesystem full or out of inodes?): %w", m.work, err)
	}
	defer func() { err = errors.Join(err, fsat.RemoveAll(dir, name)) }()
	trial, err := durable.OpenDirAt(dir, name)
	if err != nil {
		return err
	}
	defer trial.Close()
	for _, step := range []struct {
		lack   string
		try    func(*os.File) error
		kernel bool // only the kernel's overlayfs needs it
	}{
		{"keeps " + string(m.store.Format().Xattrs) + ".* extended attributes", func(d *os.File) error {
			return unix.Fsetxattr(int(d.Fd()), m.store.Format().Xattr("opaque"), []byte("y"), 0)
		}, false},
		{"tells file types in directories (d_type)", probe.DirTypes, false},
		{"renames with a whiteout (RENAME_WHITEOUT)", tryRenameWhiteout, true},
	} {
		if m.fuse() && step.kernel {
			continue
		}
		if err := step.try(trial); err != nil {
			return fmt.Errorf("%w: upper %q is not on a filesystem that %s (%w); use ext4, xfs, btrfs or tmpfs", overlaystore.ErrUnsupported, m.upper, step.lack, err)
		}
	}
	return m.tryUpper()
}

// tryUpper fails if the upper directory cannot be written to, or is immutable.
func (m *Mount) tryUpper() error {
	err := unix.Access(m.upper, unix.W_OK)
	if err == nil {
		var st unix.Statx_t
		err = unix.Statx(unix.AT_FDCWD, m.upper, 0, unix.STATX_BASIC_STATS, &st)
		if err == nil && st.Attributes&unix.STATX_ATTR_IMMUTABLE != 0 {
			err = unix.EPERM
		}
	}
	if err != nil {
		return fmt.Errorf("upper %q cannot be written to: %w", m.upper, errors.Join(err, fs.ErrPermission))
	}
	return nil
}

func tryRenameWhiteout(dir *os.File) error {
	fd := int(dir.Fd())
	f, err := fsat.Create(dir, "renamed", 0o600)
	if err != nil {
		return err
	}
	f.Close()
	return unix.Renameat2(fd, "renamed", fd, "to", unix.RENAME_WHITEOUT)
}
