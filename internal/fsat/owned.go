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

// FindOwned is [Find] for a caller who owns the files below root, also where their
// modes shut the owner out. If a directory's mode does, FindOwned adds the bit that is
// missing and sets the old mode again at once. A reader of modes takes [lockModes],
// so that it never sees the added bit.
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

// ReopenOwned is [Reopen] for a file below root that the caller owns, also where its
// mode forbids that; see [FindOwned].
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

// WithRead calls do while f, a file below root, has a mode that lets its owner read
// its content and its extended attributes. mode is the mode that f has otherwise. If
// the mode cannot be changed, do is called nevertheless.
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

// lockModes waits until no mode below root is changed temporarily, and keeps others
// from changing any until unlock.
func lockModes(root *os.File) (unlock func() error, err error) {
	// flock(2) locks an open file description, so each lock opens the directory anew.
	lock, err := OpenDir(root, ".")
	if err != nil {
		return nil, err
	}
	if err := retry(func() error { return unix.Flock(int(lock.Fd()), unix.LOCK_EX) }); err != nil {
		return nil, errors.Join(&os.PathError{Op: "lock", Path: root.Name(), Err: err}, lock.Close())
	}
	return lock.Close, nil
}

// modes has the old modes of files whose modes were changed temporarily.
type modes struct{ changed []changedMode }

type changedMode struct {
	f    *os.File
	mode uint32
}

// withModes calls open under [lockModes], and restores the modes that it changed.
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

// add adds bits to the mode of f, a directory or a regular file, if they are missing.
func (m *modes) add(f *os.File, bits uint32) error {
	st, err := Stat(f)
	kind := st.Mode & unix.S_IFMT
	if err != nil || st.Mode&bits == bits || kind != unix.S_IFDIR && kind != unix.S_IFREG {
		return err
	}
	// chmod(2) by an owner outside the file's group clears the set-group-ID bit.
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
