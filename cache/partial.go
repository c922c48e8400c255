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
	// partialPrefix begins the names of the files of partial blobs, which are beside
	// index.json: their digest follows. The file of the checkpoint has checkpointSuffix
	// behind that.
	partialPrefix    = ".partial-"
	checkpointSuffix = ".json"
	// smallestPartial is the least size of a blob whose beginning is kept.
	smallestPartial = 1 << 20
	// checkpointEvery is how often a growing partial blob is synced. One that is
	// complete sooner needs no checkpoint.
	checkpointEvery = 5 * time.Second
	// lastCheckpoint bounds how many bytes may be synced when a stream ends early.
	lastCheckpoint = 32 << 20
	maxCheckpoint  = 4 << 10 // the bytes of a checkpoint's file
)

// checkpoint says that, in a boot of the machine, the first Size bytes of a partial blob
// were synced and had the digest. During the same boot the whole file counts, because a
// process that dies loses nothing that it has written.
type checkpoint struct {
	Boot   string        `json:"boot"`
	Size   int64         `json:"size"`
	Digest digest.Digest `json:"digest"` // of the first Size bytes, by the blob's algorithm
}

// Resume is [Cache.Keep] for a blob whose beginning an interrupted stream may have left in
// the cache. open must return a stream of the whole blob, whose first n bytes it reads from
// begun; n is 0 if there is no beginning, or none that can be trusted. If the stream ends
// early, what has come is kept for the next call, unless the error says that the bytes are
// wrong.
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

// Begun returns how many bytes of the blob an interrupted stream has left in the cache.
// [Cache.Resume] may trust fewer.
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

// openPartial opens and flocks the file of the partial blob, and cuts it behind the bytes
// that are trusted. ok is false if another process has flocked it, or if something else has
// its name; the blob then goes into a temporary file.
func (k *keeper) openPartial() (ok bool, err error) {
	name := partialName(k.want.Digest)
	path := filepath.Join(k.c.dir.Name(), name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return false, nil
	}
	if free, err := durable.TryFlock(f, durable.Exclusive); err != nil || !free {
		return false, errors.Join(err, f.Close())
	}
	// The process that had flocked it may have renamed or removed it meanwhile.
	st, err := f.Stat()
	now, err2 := os.Lstat(path)
	if err != nil || err2 != nil || !os.SameFile(st, now) || !st.Mode().IsRegular() {
		return false, f.Close()
	}
	k.temp, k.name = f, name
	k.begun = k.trusted(st.Size())
	err = f.Truncate(k.begun)
	if err == nil {
		_, err = f.Seek(k.begun, io.SeekStart)
	}
	if err == nil && k.begun == 0 {
		err = k.noteBoot()
	}
	if err != nil {
		k.temp, k.begun = nil, 0
		return false, errors.Join(err, f.Close())
	}
	return true, nil
}

// noteBoot writes a checkpoint of no bytes, so that the whole file counts during this boot.
// It is not synced, because it is of no use after that.
func (k *keeper) noteBoot() error {
	raw, err := k.encode(checkpoint{})
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

// encode returns the JSON of a checkpoint in this boot.
func (k *keeper) encode(p checkpoint) (raw []byte, err error) {
	if p.Boot, err = durable.BootID(); err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// trusted returns how many first bytes of the file, which has size bytes, count.
func (k *keeper) trusted(size int64) int64 {
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

// progress makes a checkpoint from time to time, while the stream is read on.
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

// save syncs the file and then writes a checkpoint of its first size bytes.
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
	// Under the lock no process that opens the cache sweeps the checkpoint's temporary
	// file.
	ctx := context.WithoutCancel(k.ctx)
	unlock, err := k.c.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	k.saved.Store(size)
	return durable.WriteFile(ctx, k.c.dir, k.name+checkpointSuffix, raw, 0o600)
}

// leave ends the writing of a blob that is not complete, and keeps it for the next stream.
// After a failed sync it removes it, because nobody can tell what the disk has.
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

// Partial is the beginning of a blob that an interrupted stream has left in the cache.
type Partial struct {
	Digest digest.Digest // of the whole blob
	Size   int64         // of the beginning
	Grown  time.Time     // when it was last written to
	name   string
}

// Partials lists the beginnings of blobs in the cache.
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

// Forget removes the beginning of a blob, unless a stream is going on with it. Under the
// lock nobody begins the same blob meanwhile, whose file has the same name.
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

// removeExisting removes a file, if it exists.
func removeExisting(ctx context.Context, dir *os.File, name string) error {
	if err := durable.Remove(ctx, dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
