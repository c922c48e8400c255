// SPDX-License-Identifier: Apache-2.0

// Package trash moves what is to be removed out of sight, durably, before a
// single file of it goes, and removes what interrupted writes have left.
package trash

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"golang.org/x/sys/unix"
)

// Move moves name in dir to the trash, under a name of its own and durably:
// what is being removed is gone at once and whole, also for a process that is
// killed meanwhile.
func Move(ctx context.Context, dir *os.File, name string, trash *os.File) (trashed string, err error) {
	trashed = rand.Text()
	if err := durable.RenameNoReplace(ctx, dir, name, trash, trashed); err != nil {
		return "", err
	}
	if err := durable.SyncDir(ctx, trash); err != nil {
		return trashed, err
	}
	return trashed, durable.SyncDir(ctx, dir)
}

// MoveAll moves directories, given by their paths under root, to the trash: all
// of them with one sync for each directory that changes.
func MoveAll(ctx context.Context, root *os.File, paths []string, trash *os.File) (trashed []string, err error) {
	if len(paths) == 0 {
		return nil, nil
	}
	sync := map[string]*os.File{}
	defer func() {
		for _, dir := range sync {
			dir.Close()
		}
	}()
	for _, rel := range paths {
		from, name := path.Split(rel)
		if sync[from] == nil {
			dir, err := durable.OpenDirAt(root, path.Clean(from))
			if err != nil {
				return trashed, err
			}
			sync[from] = dir
		}
		to := rand.Text()
		if err := durable.RenameNoReplace(ctx, sync[from], name, trash, to); err != nil {
			return trashed, err
		}
		trashed = append(trashed, to)
	}
	if err := durable.SyncDir(ctx, trash); err != nil {
		return trashed, err
	}
	for _, from := range slices.Sorted(maps.Keys(sync)) {
		if err := durable.SyncDir(ctx, sync[from]); err != nil {
			return trashed, err
		}
	}
	return trashed, nil
}

// Remove removes name from the trash, with all that is below it.
func Remove(trash *os.File, name string) error {
	err := fsat.RemoveAll(trash, name)
	// Another process that empties the same trash adds and takes names under
	// our hands; what we both leave the next one finds.
	if errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	return err
}

// RemoveFiles removes files of dir, durably, where they are still there.
func RemoveFiles(ctx context.Context, dir *os.File, names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if err := durable.Remove(ctx, dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(ctx, dir)
}

// RemoveTemps removes the files that an interrupted write left in dir. Only
// under the exclusive lock: a living writer's look the same.
func RemoveTemps(ctx context.Context, dir *os.File) error {
	names, err := fsat.Names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, durable.TempPrefix) {
			continue
		}
		if err := durable.Remove(ctx, dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
