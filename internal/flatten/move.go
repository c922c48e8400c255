// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
)

// moveInto moves the content of from into to, which need not be empty. It follows no
// symbolic link in either. A file of from replaces what to has at its name, except a
// directory that is not empty; two directories are merged.
func moveInto(ctx context.Context, from, to *os.File) error {
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := errors.Join(ctx.Err(), durable.Fault(ctx, "move")); err != nil {
			return err
		}
		if err := moveOne(ctx, from, to, name); err != nil {
			return fmt.Errorf("move into %s: %w", filepath.Join(to.Name(), name), err)
		}
	}
	return nil
}

func moveOne(ctx context.Context, from, to *os.File, name string) error {
	fromFD, toFD := int(from.Fd()), int(to.Fd())
	var new, old unix.Stat_t
	if err := unix.Fstatat(fromFD, name, &new, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	err := unix.Fstatat(toFD, name, &old, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && err != unix.ENOENT {
		return err
	}
	there := err == nil
	newDir, oldDir := isDir(new), there && isDir(old)
	switch {
	case newDir && oldDir:
		return moveDir(ctx, from, to, name)
	case newDir && there:
		err = unix.Unlinkat(toFD, name, 0)
	case oldDir:
		err = unix.Unlinkat(toFD, name, unix.AT_REMOVEDIR)
	default:
		err = nil
	}
	if err != nil {
		return err
	}
	return unix.Renameat(fromFD, name, toFD, name)
}

func moveDir(ctx context.Context, from, to *os.File, name string) error {
	source, err := durable.OpenDirAt(from, name)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := durable.OpenDirAt(to, name)
	if err != nil {
		return err
	}
	defer target.Close()
	return moveInto(ctx, source, target)
}

func isDir(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }
