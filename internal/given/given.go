// SPDX-License-Identifier: Apache-2.0

// Package given records in a store which of its images were given to which
// engine: engines/<hex>.json, one file for an image in an engine; and keeps the
// journals of layers that it has no longer, because an engine owns them:
// engines/journals/<hex>/files.zst, by the layer's diffID.
//
// A record is written before the first call to the engine, so that whatever an
// interrupted one has left there is known, and once more when all is done.
package given

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/recordfile"
)

// The kinds of engines.
const (
	Containerd        = "containerd"         // asked over its socket
	ContainersStorage = "containers-storage" // an additional image store of podman and its kin; the address is its directory
)

// Record is one image in one engine.
type Record struct {
	Kind      string        `json:"kind"`
	Address   string        `json:"address"`
	Namespace string        `json:"namespace,omitempty"`
	Manifest  digest.Digest `json:"manifest"`
	Root      digest.Digest `json:"root"`
	Config    digest.Digest `json:"config"`
	// Names are the records in the engine, in the order in which they are made.
	Names []string `json:"names"`
	// Before are the names that the image already had there.
	Before []Name `json:"before,omitempty"`
	// Layers are the diffIDs, the lowest first.
	Layers []digest.Digest `json:"layers,omitempty"`
	// Snapshotter is the one that has the layers; "" is overlayfs.
	Snapshotter string `json:"snapshotter,omitempty"`
	// Sizes are those of the layers' tars, where the engine has these.
	Sizes []int64 `json:"sizes,omitempty"`
	// Merged is the digest of the index over them, if it is the store's.
	Merged digest.Digest `json:"merged,omitempty"`
	// Reference and Platform are what it was pulled as.
	Reference string `json:"reference,omitempty"`
	Platform  string `json:"platform,omitempty"`
	// Copied is how many bytes of contents could not be linked.
	Copied int64 `json:"copied,omitempty"`
	// HandedOver says that the engine owns it and the store has forgotten it.
	HandedOver bool `json:"handedOver,omitempty"`
	// Repair is the repair for which the store has the image once more that was
	// handed over; "" is none. See [BeginRepair].
	Repair string `json:"repair,omitempty"`
	// Complete says that the engine has it. It is false as long as it is given for the
	// first time, or taken, and where that was interrupted.
	Complete bool `json:"complete"`
	// Again is true as long as it is given again, and where that was interrupted.
	Again bool      `json:"again,omitempty"`
	Time  time.Time `json:"time"`
}

// Name is a name in an engine, and the index or manifest that it means.
type Name struct {
	Name string        `json:"name"`
	Root digest.Digest `json:"root"`
}

// AllNames are the names that the image has in the engine, in the order in which they
// were made, as far as that is known.
func (r Record) AllNames() []Name {
	var list []Name
	for _, name := range r.Names {
		list = append(list, Name{name, r.Root})
	}
	return append(list, r.Before...)
}

// Of finds in a list the record of the same image in the same engine.
func (r Record) Of(list []Record) (Record, bool) {
	i := slices.IndexFunc(list, func(other Record) bool { return other.file() == r.file() })
	if i < 0 {
		return Record{}, false
	}
	return list[i], true
}

// file is the name of a record's file.
func (r Record) file() string {
	return recordfile.Name(r.Kind, r.Address, r.Namespace, r.Manifest.String())
}

const (
	folder   = "engines"
	lockFile = "lock"
)

// Records are those of one store, locked: nobody else gives or takes meanwhile.
type Records struct {
	dir    *os.File
	unlock func() error
}

// Open opens the records of the store whose directory is root, makes the folder
// where it is missing, and waits until nobody else has them open.
func Open(ctx context.Context, root *os.File) (*Records, error) {
	return open(ctx, root, func(dir *os.File) (func() error, error) {
		return durable.Lock(ctx, dir, lockFile, durable.Exclusive, nil)
	})
}

// TryOpen is [Open] without the wait: it returns nil where somebody has them open.
func TryOpen(ctx context.Context, root *os.File) (*Records, error) {
	return open(ctx, root, func(dir *os.File) (func() error, error) {
		return durable.TryLock(ctx, dir, lockFile, durable.Exclusive)
	})
}

func open(ctx context.Context, root *os.File, lock func(dir *os.File) (unlock func() error, err error)) (*Records, error) {
	dir, err := durable.OpenOrMakeDirAt(ctx, root, folder, 0o700)
	if err != nil {
		return nil, fmt.Errorf("open the records of engines: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the records of engines: %w", err), dir.Close())
	}
	if unlock == nil {
		return nil, dir.Close()
	}
	r := &Records{dir, unlock}
	if err := r.discard(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the records of engines: %w", err), r.Close())
	}
	return r, nil
}

// discard removes records that were never finished: who writes one has the lock.
func (r *Records) discard(ctx context.Context) error {
	names, err := fsat.Names(r.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, durable.TempPrefix) {
			if err := gone(ctx, r.dir, name); err != nil && !errors.Is(err, unix.EISDIR) { // a directory is not ours
				return err
			}
		}
	}
	return nil
}

// Close lets others have the records.
func (r *Records) Close() error { return errors.Join(r.unlock(), r.dir.Close()) }

// Put writes a record, durably.
func (r *Records) Put(ctx context.Context, rec Record) error {
	if err := recordfile.Write(ctx, r.dir, rec.file(), rec); err != nil {
		return fmt.Errorf("record what an engine was given: %w", err)
	}
	return nil
}

// Remove removes a record, durably.
func (r *Records) Remove(ctx context.Context, rec Record) error {
	err := durable.Remove(ctx, r.dir, rec.file())
	if err == nil {
		err = durable.SyncDir(ctx, r.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of what an engine was given: %w", err)
	}
	return nil
}

// List reads the records of the store whose directory is root, without a lock.
// Those that cannot be read are left out, and the error names them.
func List(root *os.File) ([]Record, error) {
	dir, err := durable.OpenDirAt(root, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list what engines were given: %w", err)
	}
	defer dir.Close()
	return recordfile.List(dir, "what an engine was given", belongs)
}

// Find reads the record of the same image in the same engine as rec, without a lock.
// Other records that cannot be read are no error.
func Find(root *os.File, rec Record) (found Record, there bool, err error) {
	dir, err := durable.OpenDirAt(root, folder)
	if err == nil {
		defer dir.Close()
		found, err = recordfile.Read(dir, rec.file(), belongs)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Record{}, false, nil
	case err != nil:
		return Record{}, false, fmt.Errorf("read the record %s of what an engine was given: %w", rec.file(), err)
	}
	return found, true, nil
}

func belongs(rec Record, name string) bool {
	return rec.file() == name && rec.Manifest.Validate() == nil && valid(rec.Layers)
}

func valid(list []digest.Digest) bool {
	return !slices.ContainsFunc(list, func(d digest.Digest) bool { return d.Validate() != nil })
}
