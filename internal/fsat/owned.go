// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// The mode bits that an owner needs to read a file, and to pass a directory.
const (
	ownerReads  = 0o400
	ownerPasses = 0o100
)

// FindOwned is [Find] for one who owns what is below root, whatever the modes
// there say. A directory that shuts its owner out is given the one bit that is
// missing, and its own mode again at once; who reads modes meanwhile does so
// under [lockModes].
func FindOwned(root *os.File, path string) (*os.File, error) {
	f, err := Find(root, path)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	found, ownErr := withModes(root, func(m *modes) (*os.File, error) { return m.find(root, path) })
	if errors.Is(ownErr, fs.ErrPermission) || errors.Is(ownErr, unix.EROFS) {
		return nil, err
	}
	return found, ownErr
}

// ReopenOwned is [Reopen] in the same way, for what was found below root.
func ReopenOwned(root, found *os.File) (*os.File, error) {
	f, err := Reopen(found)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	opened, ownErr := withModes(root, func(m *modes) (*os.File, error) {
		if err := m.add(found, ownerReads); err != nil {
			return nil, err
		}
		return Reopen(found)
	})
	if errors.Is(ownErr, fs.ErrPermission) || errors.Is(ownErr, unix.EROFS) {
		return nil, err
	}
	return opened, ownErr
}

// WithRead calls do while the owner of f, which was found below root, may read
// it, its extended attributes too. mode is f's own. Where the owner cannot be
// given that, do is called all the same.
func WithRead(root, f *os.File, do func(mode uint32) error) error {
	unlock, err := lockModes(root)
	if err != nil {
		return err
	}
	st, err := Stat(f)
	if err != nil {
		return errors.Join(err, unlock())
	}
	bits := uint32(ownerReads)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		bits |= ownerPasses
	}
	var m modes
	if err = m.add(f, bits); err == nil || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		err = do(st.Mode & 0o7777)
	}
	return errors.Join(err, m.restore(), unlock())
}

// lockModes waits until all modes below root are their files' own, and keeps
// them so until unlock.
func lockModes(root *os.File) (unlock func() error, err error) {
	// A descriptor of its own, for flock(2) goes by open file descriptions.
	lock, err := OpenDir(root, ".")
	if err != nil {
		return nil, err
	}
	if err := retry(func() error { return unix.Flock(int(lock.Fd()), unix.LOCK_EX) }); err != nil {
		return nil, errors.Join(&os.PathError{Op: "lock", Path: root.Name(), Err: err}, lock.Close())
	}
	return lock.Close, nil
}

// modes are those of files that were given more for a moment.
type modes struct{ changed []changedMode }

type changedMode struct {
	f    *os.File
	mode uint32
}

// withModes calls open, and takes back what it has given.
func withModes(root *os.File, open func(*modes) (*os.File, error)) (*os.File, error) {
	unlock, err := lockModes(root)
	if err != nil {
		return nil, err
	}
	var m modes
	f, err := open(&m)
	if backErr := errors.Join(m.restore(), unlock()); backErr != nil {
		if f != nil {
			backErr = errors.Join(backErr, f.Close())
		}
		return nil, errors.Join(err, backErr)
	}
	return f, err
}

func (m *modes) find(root *os.File, p string) (*os.File, error) {
	if err := m.add(root, ownerPasses); err != nil {
		return nil, err
	}
	at, err := Find(root, ".")
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(path.Clean(p), "/") {
		if err := m.add(at, ownerPasses); err != nil {
			return nil, errors.Join(err, at.Close())
		}
		next, err := Find(at, name)
		at.Close() // opened with O_PATH
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

// add gives the owner of f what he lacks of some bits.
func (m *modes) add(f *os.File, bits uint32) error {
	st, err := Stat(f)
	kind := st.Mode & unix.S_IFMT
	if err != nil || st.Mode&bits == bits || kind != unix.S_IFDIR && kind != unix.S_IFREG {
		return err
	}
	// Whoever is in another group than the file's would take its set-group-ID bit.
	if st.Mode&unix.S_ISGID != 0 && st.Gid != uint32(os.Getegid()) {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: unix.EPERM}
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "dup", Path: f.Name(), Err: err}
	}
	kept := os.NewFile(uintptr(fd), f.Name())
	mode := st.Mode & 0o7777
	if err := ChmodFD(fd, mode|bits); err != nil {
		return errors.Join(&os.PathError{Op: "chmod", Path: f.Name(), Err: err}, kept.Close())
	}
	m.changed = append(m.changed, changedMode{kept, mode})
	return nil
}

func (m *modes) restore() error {
	var errs []error
	for _, c := range m.changed {
		if err := ChmodFD(int(c.f.Fd()), c.mode); err != nil {
			errs = append(errs, &os.PathError{Op: "chmod", Path: c.f.Name(), Err: err})
		}
		errs = append(errs, c.f.Close())
	}
	return errors.Join(errs...)
}
