// SPDX-License-Identifier: Apache-2.0

// Package stagingdir makes the directories of a store in which layers, and other parts
// of it, are made until they are complete. A process holds a lock (flock) on each of its
// directories. By that the package finds the directories of processes that have died.
package stagingdir

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// lock is held while a directory is made and not yet locked, so that nobody
// takes it for one that a dead process left.
const lock = "staging"

// ErrTaken: somebody else has locked the new directory.
var ErrTaken = errors.New("the staging directory is locked")

// Make makes a directory in staging, under a name that begins with prefix, and
// locks it. Where it fails after that, there is a name to remove.
func Make(ctx context.Context, staging, locks *os.File, prefix string) (name string, dir *os.File, err error) {
	unlock, err := durable.Lock(ctx, locks, lock, durable.Shared, nil)
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	name = prefix + rand.Text()
	if err := durable.Mkdir(ctx, staging, name, 0o700); err != nil {
		return "", nil, err
	}
	if dir, err = durable.OpenDirAt(staging, name); err != nil {
		return name, nil, err
	}
	locked, err := durable.TryFlock(dir, durable.Exclusive)
	if err == nil && !locked {
		err = ErrTaken
	}
	return name, dir, err
}

// Dead calls found for each directory in staging that no living process holds,
// while nobody can take it or make another.
func Dead(ctx context.Context, staging, locks *os.File, found func(name string) error) error {
	names, err := fsat.Names(staging)
	if err != nil || len(names) == 0 {
		return err
	}
	unlock, err := durable.Lock(ctx, locks, lock, durable.Exclusive, nil)
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range names {
		if err := dead(staging, name, found); err != nil {
			return err
		}
	}
	return nil
}

func dead(staging *os.File, name string, found func(name string) error) error {
	f, err := durable.OpenDirAt(staging, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	free, err := durable.TryFlock(f, durable.Exclusive)
	if err != nil || !free {
		return err
	}
	return found(name)
}
