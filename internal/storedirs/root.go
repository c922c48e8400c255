// SPDX-License-Identifier: Apache-2.0

package storedirs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// OpenRoot opens the directory at path and tells whether it is on a read-only
// filesystem. Unless it must exist it is made where it is missing, durably, with
// all that is missing above it. A symbolic link of somebody else on the way
// there is an error.
func OpenRoot(ctx context.Context, path string, existing bool) (root *os.File, readOnly bool, err error) {
	if !existing {
		if err := makeRoot(ctx, path); err != nil {
			return nil, false, err
		}
	}
	root, err = fsat.OpenPlace(path)
	if err != nil {
		return nil, false, err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(root.Fd()), &st); err != nil {
		return root, false, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return root, st.Flags&unix.ST_RDONLY != 0, nil
}

// makeRoot makes the directory at path, durably, with all that is missing
// above it.
func makeRoot(ctx context.Context, path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	parent, err := durable.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(durable.SyncDir(ctx, parent), parent.Close())
}

// CheckOwner refuses a store into which somebody else could slip a layer.
func CheckOwner(root *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return err
	}
	if uid := os.Geteuid(); int(st.Uid) != uid {
		return fmt.Errorf("it belongs to uid %d and this process runs as uid %d: run as its owner, or choose another store: %w", st.Uid, uid, fs.ErrPermission)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("its mode is %04o, so others may write there: make it 0700: %w", st.Mode&0o7777, fs.ErrPermission)
	}
	return nil
}
