// SPDX-License-Identifier: Apache-2.0

// Package partial keeps the layers of pulls that were interrupted in a directory of
// the store, for the next pull: whole ones, each under the name of its digest and of
// the digest of its record, and those that were on their way, with their checkpoints.
// What is there need not have reached the disk, so nothing of it counts before it was
// compared with its journal, or a tar with its diffID. Who adds, takes or removes one
// holds the layer's lock.
package partial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/leftovers"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
)

// dirName is the directory, in the store's root. It is made when the first layer
// is kept.
const dirName = "partial"

// separator is between the two digests of a name.
const separator = "."

// Add moves the directory name in staging, that of a layer which is complete
// and verified, into the partial layers, and returns these and its name there.
// The caller closes the directory. Nothing is synced but the directory itself
// when it is made.
func Add(ctx context.Context, root, staging *os.File, name string, id digest.Digest, record []byte) (*os.File, string, error) {
	return move(ctx, root, staging, name, id.Encoded()+separator+digest.FromBytes(record).Encoded())
}

// move moves the directory name in staging into the partial layers.
func move(ctx context.Context, root, staging *os.File, name, kept string) (*os.File, string, error) {
	dir, err := durable.OpenOrMakeDirAt(ctx, root, dirName, 0o700)
	if err != nil {
		return nil, "", err
	}
	if err := durable.RenameNoReplace(ctx, staging, name, dir, kept); err != nil {
		return nil, "", errors.Join(err, dir.Close())
	}
	return dir, kept, nil
}

// Waits reports whether there is a whole layer that [Layers.Open] may find right.
func (l Layers) Waits(id digest.Digest) (bool, error) {
	in, _, err := find(l.Root, id)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, in.Close()
}

// find opens the directory and says which name in it is that of a whole layer. The
// error is fs.ErrNotExist where there is nothing of it.
func find(root *os.File, id digest.Digest) (dir *os.File, name string, err error) {
	if dir, err = durable.OpenDirAt(root, dirName); err != nil {
		return nil, "", err
	}
	names, err := fsat.Names(dir)
	i := slices.IndexFunc(names, func(name string) bool {
		return name != id.Encoded()+partSuffix && strings.HasPrefix(name, id.Encoded()+separator)
	})
	if err == nil && i < 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, "", errors.Join(err, dir.Close())
	}
	return dir, names[i], nil
}

// Layers are the partial layers of a store.
type Layers struct {
	Root *os.File // of the store
	Left leftovers.Store
	Form layer.Form
	// Record is the name of the file of a layer's record, which is no longer
	// than MaxRecord.
	Record    string
	MaxRecord int64
	// Tar says how a tar is written.
	Tar tarlayer.WriterOptions
}

// Layer is one that is whole, opened; who takes it up closes it.
type Layer struct {
	In, Dir, FS *os.File // the partial layers, its directory, its lower dir
	Name        string   // in In
	Record      []byte
}

// Open opens a layer that is what it was when it was added: every file is
// compared with the journal, as the disk has it. It is nil where there is none;
// what differs is removed.
func (l Layers) Open(ctx context.Context, id digest.Digest) (*Layer, error) {
	in, name, err := find(l.Root, id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := &Layer{In: in, Name: name}
	err = l.examine(ctx, found)
	if err == nil {
		return found, nil
	}
	for _, dir := range []*os.File{found.Dir, found.FS} {
		if dir != nil {
			err = errors.Join(err, dir.Close())
		}
	}
	if errors.Is(err, journal.ErrDamaged) {
		l.Left.Log.Info("a layer of an interrupted pull is not whole, fetch it again", "layer", id, "error", err)
		err = l.Left.Trash(ctx, in, name)
	}
	return nil, errors.Join(err, in.Close())
}

// examine opens a layer and compares it with its records. The error is
// journal.ErrDamaged where it is another one than was added, or cannot be read.
func (l Layers) examine(ctx context.Context, found *Layer) (err error) {
	found.Dir, err = durable.OpenDirAt(found.In, found.Name)
	if err == nil {
		// So that what is compared is what the disk has.
		if err := durable.SyncFS(ctx, found.Dir); err != nil {
			return err
		}
		found.FS, err = l.openLower(found.Dir)
	}
	c := layercheck.New(layercheck.Options{Form: l.Form, Uncached: true})
	if err == nil {
		found.Record, err = storedirs.ReadFile(found.Dir, l.Record, l.MaxRecord)
	}
	if err == nil {
		err = l.compare(ctx, c, found)
	}
	_, sum, _ := strings.Cut(found.Name, separator)
	switch differ := c.Result().Differences; {
	case ctx.Err() != nil || fsat.IsShortage(err):
	case err != nil:
		err = fmt.Errorf("%w: %w", journal.ErrDamaged, err)
	case sum != digest.FromBytes(found.Record).Encoded():
		err = fmt.Errorf("%w: another record", journal.ErrDamaged)
	case len(differ) > 0:
		err = fmt.Errorf("%w: %.200q: %s is %s, was %s", journal.ErrDamaged, differ[0].Path, differ[0].Field, differ[0].Got, differ[0].Want)
	}
	return err
}

// openLower opens the lower dir, where the store has those.
func (l Layers) openLower(dir *os.File) (*os.File, error) {
	if l.Form.Lower == layer.Tars {
		return nil, nil
	}
	return durable.OpenDirAt(dir, storedirs.LowerDir)
}

// compare compares the files of a layer with the journal, or its tar with the
// diffID.
func (l Layers) compare(ctx context.Context, c *layercheck.Check, found *Layer) error {
	if l.Form.Lower != layer.Tars {
		return c.Run(ctx, found.Dir, found.FS)
	}
	var rec struct {
		DiffID digest.Digest `json:"diffID"`
		Size   int64         `json:"size"`
	}
	if err := json.Unmarshal(found.Record, &rec); err != nil {
		return err
	}
	return tarlayer.Check(ctx, c, found.Dir, tarlayer.Recorded{DiffID: rec.DiffID, Size: rec.Size}, false)
}

// Waiting are the partial layers of a store that nobody has opened.
type Waiting struct {
	Layers, Begun int       // all, and those that are not whole
	Oldest        time.Time // when the one was made that waits for longest
}

// Look counts those of the store at path, those among them that a process is about.
func Look(path string) (w Waiting, err error) {
	var dir *os.File
	root, err := durable.OpenDir(path)
	if err == nil {
		defer root.Close()
		dir, err = durable.OpenDirAt(root, dirName)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return w, err
	}
	defer dir.Close()
	names, err := fsat.Names(dir)
	for _, name := range names {
		st, err := fsat.Lstat(dir, name)
		if err != nil {
			continue // it is gone
		}
		w.Layers++
		if strings.HasSuffix(name, partSuffix) {
			w.Begun++
		}
		if made := time.Unix(st.Mtim.Unix()); w.Oldest.IsZero() || made.Before(w.Oldest) {
			w.Oldest = made
		}
	}
	return w, err
}

// Found is one of them that no process holds.
type Found struct {
	ID    digest.Digest
	Bytes int64 // of the contents of all its files
	Made  time.Time
}

// Each calls found for each that no living process holds, and removes those
// that it is true for. Names that are no layer's it leaves alone.
func (l Layers) Each(ctx context.Context, found func(Found) (remove bool)) error {
	dir, err := durable.OpenDirAt(l.Root, dirName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := fsat.Names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		hex, _, _ := strings.Cut(name, separator)
		id := digest.NewDigestFromEncoded(digest.SHA256, hex)
		if id.Validate() != nil {
			continue
		}
		if err := l.one(ctx, dir, name, id, found); err != nil {
			return err
		}
	}
	return nil
}

func (l Layers) one(ctx context.Context, dir *os.File, name string, id digest.Digest, found func(Found) bool) error {
	unlock, err := durable.TryLock(ctx, l.Left.Dirs[storedirs.Locks], id.Encoded(), durable.Exclusive)
	if err != nil || unlock == nil {
		return err
	}
	defer unlock()
	st, err := fsat.Lstat(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // committed before the lock was free
	}
	if err != nil {
		return err
	}
	bytes, err := l.Left.BytesOf(ctx, dir, name)
	if err != nil || !found(Found{ID: id, Bytes: bytes, Made: time.Unix(st.Mtim.Unix())}) {
		return err
	}
	return l.Left.Trash(ctx, dir, name)
}
