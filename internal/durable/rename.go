// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// RenameNoReplace moves a file or directory, and never replaces one: if the new name
// exists the error is fs.ErrExist. It is atomic, but not durable before [SyncDir] of
// newDir, and it does not make the contents durable.
func RenameNoReplace(ctx context.Context, oldDir *os.File, oldName string, newDir *os.File, newName string) error {
	return rename(ctx, "rename", oldDir, oldName, newDir, newName, unix.RENAME_NOREPLACE)
}

// Exchange swaps two files or directories, both of which must exist. It is
// atomic, but not durable before [SyncDir] of both directories.
func Exchange(ctx context.Context, aDir *os.File, aName string, bDir *os.File, bName string) error {
	return rename(ctx, "exchange", aDir, aName, bDir, bName, unix.RENAME_EXCHANGE)
}

func rename(ctx context.Context, op string, oldDir *os.File, oldName string, newDir *os.File, newName string, flags uint) error {
	if err := Fault(ctx, op); err != nil {
		return err
	}
	err := unix.Renameat2(int(oldDir.Fd()), oldName, int(newDir.Fd()), newName, flags)
	if err != nil {
		return &os.LinkError{
			Op: op, Err: err,
			Old: filepath.Join(oldDir.Name(), oldName), New: filepath.Join(newDir.Name(), newName),
		}
	}
	return nil
}
