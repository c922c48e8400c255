// SPDX-License-Identifier: Apache-2.0

// Package leases keeps the files that say which layers living processes work
// with. A lease ends with its process, for it is a lock (flock) on the file.
package leases

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Record is one file of leases/. A lease is alive while its file is
// locked (flock); a record of a mount is so while the mount is there.
type Record struct {
	What   string          `json:"what"`
	PID    int             `json:"pid"` // for people: it may come again
	Layers []digest.Digest `json:"layers"`
}

const (
	suffix    = ".lease"
	maxRecord = 1 << 20
)

// ErrTaken: somebody else has locked the new lease.
var ErrTaken = errors.New("the lease is locked")

// Write makes a lease in dir, under a name of this boot, and locks it. It ends
// with End. Nobody may read the leases meanwhile.
func Write(dir *os.File, boot string, rec Record) (name string, f *os.File, err error) {
	raw, err := json.Marshal(rec)
	if err != nil {
		return "", nil, err
	}
	name = boot + "-" + rand.Text() + suffix
	if f, err = fsat.Create(dir, name, 0o600); err != nil {
		return "", nil, err
	}
	locked, err := durable.TryFlock(f, durable.Exclusive)
	if err == nil && !locked {
		err = ErrTaken
	}
	if err == nil {
		_, err = f.Write(raw)
	}
	if err != nil {
		return "", nil, errors.Join(err, End(dir, name, f))
	}
	return name, f, nil
}

// End ends a lease.
func End(dir *os.File, name string, f *os.File) error {
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	if err == unix.ENOENT {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Living are the layers of all living leases in dir, with what each is for;
// dead ones it removes. Call it while nobody writes one.
func Living(ctx context.Context, dir *os.File) (map[digest.Digest]string, error) {
	names, err := fsat.Names(dir)
	if err != nil {
		return nil, err
	}
	layers := map[digest.Digest]string{}
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		rec, alive, err := read(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !alive {
			err := durable.Remove(ctx, dir, name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		}
		for _, diffID := range rec.Layers {
			layers[diffID] = rec.What
		}
	}
	return layers, nil
}

func read(dir *os.File, name string) (rec Record, alive bool, err error) {
	f, err := fsat.OpenFile(dir, name)
	if err != nil {
		return rec, false, err
	}
	free, err := durable.TryFlock(f, durable.Exclusive)
	if err := errors.Join(err, f.Close()); err != nil || free {
		return rec, false, err
	}
	raw, err := storedirs.ReadFile(dir, name, maxRecord)
	if err != nil {
		return rec, true, err
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		return rec, true, fmt.Errorf("lease %s: %w: %w", name, journal.ErrDamaged, err)
	}
	return rec, true, nil
}

// Reap removes the leases in dir of processes that died. root is that of the
// store: nobody writes a lease while its lock is held, and when another process
// has it, that one will reap.
func Reap(ctx context.Context, root, dir *os.File) error {
	names, err := fsat.Names(dir)
	if err != nil || len(names) == 0 {
		return err
	}
	unlock, err := durable.TryLock(ctx, root, storedirs.LockFile, durable.Exclusive)
	if err != nil || unlock == nil {
		return err
	}
	defer unlock()
	_, err = Living(ctx, dir)
	return err
}
