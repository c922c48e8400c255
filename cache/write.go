// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Put reads a blob from r to its end, and puts it into the cache if size and digest are
// right. It is an error if it is not in the cache then.
func (c *Cache) Put(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error {
	k := c.Keep(ctx, desc, io.NopCloser(r)).(*keeper)
	_, err := io.Copy(io.Discard, struct{ io.Reader }{k})
	closed := k.Close()
	if err != nil {
		return err // it is also the reason why nothing was kept
	}
	return errors.Join(closed, k.failed)
}

// Keep returns a stream that reads r, and puts the blob into the cache when it returns
// io.EOF, if size and digest are right. The stream is the same if the blob cannot be kept,
// for want of space for example; see [Kept]. The caller reads and closes the stream, and not
// r.
func (c *Cache) Keep(ctx context.Context, desc ocispec.Descriptor, r io.ReadCloser) io.ReadCloser {
	k := &keeper{ReadCloser: r, ctx: ctx, c: c, want: desc}
	if c.Has(desc) {
		k.kept = true
		return k
	}
	k.failed = k.begin(false)
	return k
}

// Kept returns nil if the blob of a stream by [Cache.Keep] or [Cache.Resume] is in the cache,
// and otherwise why it is not.
func Kept(r io.ReadCloser) error {
	k, ok := r.(*keeper)
	switch {
	case !ok:
		return errors.New("not a stream of the cache")
	case k.kept:
		return nil
	case k.failed != nil:
		return k.failed
	}
	return errors.New("the stream was not read to its end")
}

// keeper is a stream of [Cache.Keep] or [Cache.Resume].
type keeper struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the call that began it
	c    *Cache
	want ocispec.Descriptor

	temp   *os.File // the file that is written; nil where nothing is kept (any more)
	name   string   // its name in the cache's directory
	hash   hash.Hash
	n      int64 // how many bytes were read
	kept   bool  // the blob is in the cache
	failed error // why it is not

	partial bool           // temp is a partial blob, which stays if the stream ends early
	begun   int64          // how many bytes it had before
	last    time.Time      // when the last checkpoint was begun
	work    sync.WaitGroup // the checkpoint that is being made
	saving  sync.Mutex     // is locked meanwhile
	saved   atomic.Int64   // how many bytes the last checkpoint has
	unsaved atomic.Bool    // a checkpoint has failed
}

// begin opens the file to which the blob is written: with resume that of the partial blob,
// if it can be used.
func (k *keeper) begin(resume bool) (err error) {
	if _, _, err := k.c.place(k.want); err != nil {
		return err
	}
	unlock, err := k.c.lock(k.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := durable.Fault(k.ctx, "create temporary blob"); err != nil {
		return err
	}
	k.hash, k.last = k.want.Digest.Algorithm().Hash(), time.Now()
	if resume && k.want.Size >= smallestPartial {
		if k.partial, err = k.openPartial(); err != nil || k.partial {
			return err
		}
	}
	k.name = durable.TempPrefix + rand.Text()
	f, err := os.OpenFile(filepath.Join(k.c.dir.Name(), k.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	k.temp = f
	if _, err := durable.TryFlock(f, durable.Exclusive); err != nil {
		return errors.Join(err, k.drop())
	}
	return nil
}

// Read implements io.Reader.
func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	if k.temp != nil {
		werr := k.take(p[:n], err == io.EOF)
		if errors.Is(err, errkind.Mismatch) {
			werr = errors.Join(err, werr) // so that the partial blob is dropped
		}
		if werr != nil {
			k.failed = werr
			if k.temp != nil {
				k.failed = errors.Join(werr, k.drop())
			}
		}
	}
	return n, err
}

// take writes bytes that were read to the file. At the end it commits the blob.
func (k *keeper) take(p []byte, end bool) error {
	k.hash.Write(p)
	k.n += int64(len(p))
	if k.n > k.want.Size {
		return fmt.Errorf("keep %s: more than its %d bytes", k.want.Digest, k.want.Size)
	}
	// The first begun bytes are in the file.
	if p = p[min(max(k.begun-(k.n-int64(len(p))), 0), int64(len(p))):]; len(p) > 0 {
		if err := durable.Fault(k.ctx, "write temporary blob"); err != nil {
			return err
		}
		if _, err := k.temp.Write(p); err != nil {
			return err
		}
	}
	if !end {
		k.progress()
		return nil
	}
	return k.commit()
}

// commit verifies the blob, syncs it, and then gives it its name.
func (k *keeper) commit() error {
	k.work.Wait()
	if got := digest.NewDigest(k.want.Digest.Algorithm(), k.hash); got != k.want.Digest || k.n != k.want.Size {
		return fmt.Errorf("keep %s: came %s of %d bytes", k.want.Digest, got, k.n)
	}
	dir, name, err := k.c.place(k.want)
	if err != nil {
		return err
	}
	if err := durable.Fault(k.ctx, "sync temporary blob"); err != nil {
		return err
	}
	if err := k.temp.Sync(); err != nil {
		return err
	}
	err = durable.RenameNoReplace(k.ctx, k.c.dir, k.name, dir, name)
	for errors.Is(err, fs.ErrExist) {
		// Another process was first, or the file there has another size and is damaged.
		if k.kept = k.c.Has(k.want); k.kept {
			return k.drop()
		}
		if err = k.c.remove(k.ctx, k.want); err == nil {
			err = durable.RenameNoReplace(k.ctx, k.c.dir, k.name, dir, name)
		}
	}
	if err != nil {
		return err
	}
	err = errors.Join(durable.SyncDir(k.ctx, dir), k.temp.Close())
	k.temp, k.kept = nil, err == nil
	if k.partial {
		err = errors.Join(err, removeExisting(k.ctx, k.c.dir, k.name+checkpointSuffix))
	}
	return err
}

// drop removes the file. It closes it last, because that can end the flock, and then
// another process may sweep a file of the name, or go on with it.
func (k *keeper) drop() error {
	k.work.Wait()
	path := filepath.Join(k.c.dir.Name(), k.name)
	var err error
	if k.partial {
		if err = os.Remove(path + checkpointSuffix); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	err = errors.Join(err, os.Remove(path), k.temp.Close())
	k.temp = nil
	return err
}

// Close closes the stream. A blob that was not read to its end is not put into the cache;
// its beginning may stay for the next [Cache.Resume].
func (k *keeper) Close() error { return errors.Join(k.ReadCloser.Close(), k.leave()) }
