// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

const (
	// partialPrefix begins the names of blobs that have not come whole, beside
	// index.json: their digest follows, and checkpointSuffix that of the
	// checkpoint.
	partialPrefix    = ".partial-"
	checkpointSuffix = ".json"
	// smallestPartial is the size of blobs of which a beginning is worth keeping.
	smallestPartial = 1 << 20
	// checkpointEvery is how often the beginning of a blob is written to the disk
	// while it grows: what is fetched in less than that needs no checkpoint.
	checkpointEvery = 5 * time.Second
	// lastCheckpoint bounds what is written to the disk when a stream ends early.
	lastCheckpoint = 32 << 20
	maxCheckpoint  = 4 << 10
)

// checkpoint is what is known of a partial blob: after a sync of the file, in
// which boot its first bytes were of that digest. In that boot the whole file
// counts, for no process that died has taken any of it along.
type checkpoint struct {
	Boot   string        `json:"boot"`
	Size   int64         `json:"size"`
	Digest digest.Digest `json:"digest"` // of the first Size bytes, by the blob's algorithm
}

// Resume is [Cache.Keep] for a blob of which an interrupted stream may have kept
// the beginning: open is asked for all of it, of which the first n bytes come from
// begun. n is 0 where nothing was kept, or what was is not to be believed. Where
// the stream ends early what has come is kept for the next one, unless its error
// says that the bytes are wrong.
func (c *Cache) Resume(ctx context.Context, desc ocispec.Descriptor, open func(begun io.Reader, n int64) (io.ReadCloser, error)) (io.ReadCloser, error) {
	k := &keeper{ctx: ctx, c: c, want: desc, kept: c.Has(desc)}
	if !k.kept {
		k.failed = k.begin(true)
	}
	r, err := open(io.NewSectionReader(k.temp, 0, k.begun), k.begun)
	if err != nil {
		return nil, errors.Join(err, k.leave())
	}
	k.ReadCloser = r
	return k, nil
}

// Begun is how many bytes of the blob an interrupted stream has kept, at most.
func (c *Cache) Begun(desc ocispec.Descriptor) int64 {
	if _, _, err := c.place(desc); err != nil {
		return 0
	}
	st, err := fsat.Lstat(c.dir, partialName(desc.Digest))
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > desc.Size {
		return 0
	}
	return st.Size
}

func partialName(d digest.Digest) string {
	return partialPrefix + d.Algorithm().String() + "-" + d.Encoded()
}

// continues opens the file of the partial blob, locked, at the end of what is to
// be believed of it. ok is false where another process has it, or there is
// something else.
func (k *keeper) continues() (ok bool, err error) {
	name := partialName(k.want.Digest)
	path := filepath.Join(k.c.dir.Name(), name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return false, nil // by a name of its own, then
	}
	if free, err := durable.TryFlock(f, durable.Exclusive); err != nil || !free {
		return false, errors.Join(err, f.Close())
	}
	// Its process may have given it its place, or dropped it, before the lock was
	// free.
	st, err := f.Stat()
	now, err2 := os.Lstat(path)
	if err != nil || err2 != nil || !os.SameFile(st, now) || !st.Mode().IsRegular() {
		return false, f.Close()
	}
	k.temp, k.name = f, name
	k.begun = k.believed(st.Size())
	err = f.Truncate(k.begun)
	if err == nil {
		_, err = f.Seek(k.begun, io.SeekStart)
	}
	if err == nil && k.begun == 0 {
		err = k.note(checkpoint{})
	}
	if err != nil {
		k.temp, k.begun = nil, 0
		return false, errors.Join(err, f.Close())
	}
	return true, nil
}

// note writes a checkpoint that vouches for nothing but the boot; it need not
// survive it.
func (k *keeper) note(p checkpoint) error {
	raw, err := k.encode(p)
	if err != nil {
		return err
	}
	if err := removeExisting(k.ctx, k.c.dir, k.name+checkpointSuffix); err != nil {
		return err
	}
	f, err := fsat.Create(k.c.dir, k.name+checkpointSuffix, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

func (k *keeper) encode(p checkpoint) (raw []byte, err error) {
	if p.Boot, err = durable.BootID(); err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// believed is how many bytes of the file count.
func (k *keeper) believed(size int64) int64 {
	p, err := readCheckpoint(k.c.dir, k.name)
	boot, err2 := durable.BootID()
	switch {
	case err != nil, err2 != nil, size > k.want.Size, p.Size > size:
		return 0
	case p.Boot == boot:
		return size
	case p.Size == 0:
		return 0
	}
	h := k.want.Digest.Algorithm().Hash()
	if _, err := io.Copy(h, io.NewSectionReader(k.temp, 0, p.Size)); err != nil {
		return 0
	}
	if digest.NewDigest(k.want.Digest.Algorithm(), h) != p.Digest {
		return 0
	}
	return p.Size
}

func readCheckpoint(dir *os.File, name string) (p checkpoint, err error) {
	raw, err := fsat.ReadFile(dir, name+checkpointSuffix, maxCheckpoint)
	if err != nil {
		return p, err
	}
	err = json.Unmarshal(raw, &p)
	if err == nil && p.Size < 0 {
		err = errors.New("a checkpoint of less than nothing")
	}
	return p, err
}

// progress makes a checkpoint now and then, beside the reading.
func (k *keeper) progress() {
	if !k.partial || k.n <= k.begun || time.Since(k.last) < k.c.checkpointEvery() {
		return
	}
	if k.last = time.Now(); !k.saving.TryLock() {
		return
	}
	size, sum := k.n, digest.NewDigest(k.want.Digest.Algorithm(), k.hash)
	k.work.Go(func() {
		defer k.saving.Unlock()
		if err := k.save(size, sum); err != nil {
			k.unsaved.Store(true)
		}
	})
}

// save makes a checkpoint: first what it vouches for is on the disk.
func (k *keeper) save(size int64, sum digest.Digest) (err error) {
	if err := durable.Fault(k.ctx, "sync partial blob"); err != nil {
		return err
	}
	if err := k.temp.Sync(); err != nil {
		return err
	}
	raw, err := k.encode(checkpoint{Size: size, Digest: sum})
	if err != nil {
		return err
	}
	// Whoever opens the cache takes a file on its way for rubbish.
	ctx := context.WithoutCancel(k.ctx)
	unlock, err := k.c.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	k.saved.Store(size)
	return durable.WriteFile(ctx, k.c.dir, k.name+checkpointSuffix, raw, 0o600)
}

// leave ends the writing of a blob that has not come whole: the next stream goes
// on with it. After a failed sync nobody can tell what is there.
func (k *keeper) leave() error {
	k.work.Wait()
	switch {
	case k.temp == nil:
		return nil
	case !k.partial || k.unsaved.Load() || k.n == 0 && k.begun == 0:
		return k.drop()
	}
	var err error
	if k.n > k.begun && k.n-max(k.saved.Load(), k.begun) <= lastCheckpoint {
		err = k.save(k.n, digest.NewDigest(k.want.Digest.Algorithm(), k.hash))
	}
	if err != nil {
		return errors.Join(err, k.drop())
	}
	err = durable.Unlock(k.temp)
	k.temp = nil
	return err
}

// Partial is one blob of which a beginning was kept.
type Partial struct {
	Digest digest.Digest
	Size   int64 // of the beginning
	Grown  time.Time
	name   string
}

// Partials lists them.
func (c *Cache) Partials() ([]Partial, error) {
	if c.dir == nil {
		return nil, errUnopened
	}
	entries, err := os.ReadDir(c.dir.Name())
	if err != nil {
		return nil, err
	}
	var all []Partial
	for _, e := range entries {
		words, ok := strings.CutPrefix(e.Name(), partialPrefix)
		algorithm, hex, _ := strings.Cut(words, "-")
		d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
		info, err := e.Info()
		if !ok || d.Validate() != nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Partial{d, info.Size(), info.ModTime(), e.Name()})
	}
	return all, nil
}

// Forget removes the beginning of a blob, unless a stream goes on with it. The lock
// keeps others from beginning the same blob meanwhile: the names are the same.
func (c *Cache) Forget(ctx context.Context, p Partial) (err error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := c.sweepOne(ctx, p.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if still, err := fsat.Exists(c.dir, p.name); err != nil || still {
		return err
	}
	return removeExisting(ctx, c.dir, p.name+checkpointSuffix)
}

func removeExisting(ctx context.Context, dir *os.File, name string) error {
	if err := durable.Remove(ctx, dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
