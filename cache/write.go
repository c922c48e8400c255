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

// Put reads the blob to its end and keeps it if its size and digest hold.
func (c *Cache) Put(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error {
	k := c.Keep(ctx, desc, io.NopCloser(r)).(*keeper)
	_, err := io.Copy(io.Discard, struct{ io.Reader }{k})
	closed := k.Close()
	if err != nil {
		return err // why nothing was kept, too
	}
	return errors.Join(closed, k.failed)
}

// Keep passes a stream on and keeps what it passed, once it has ended with
// io.EOF and size and digest hold. A blob that cannot be kept, for want of
// space or because the cache has it already, is passed on all the same; see
// [Kept].
func (c *Cache) Keep(ctx context.Context, desc ocispec.Descriptor, r io.ReadCloser) io.ReadCloser {
	k := &keeper{ReadCloser: r, ctx: ctx, c: c, want: desc}
	if c.Has(desc) {
		k.kept = true
		return k
	}
	k.failed = k.begin(false)
	return k
}

// Kept says whether the blob of a stream that [Cache.Keep] returned is in the
// cache, and if not, why.
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

type keeper struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the call that began it
	c    *Cache
	want ocispec.Descriptor

	temp   *os.File // nil where nothing is kept (any more)
	name   string
	hash   hash.Hash
	n      int64
	kept   bool
	failed error

	// Of a blob that may outlive its stream: begun is how much of it was there.
	partial bool
	begun   int64
	last    time.Time // of a checkpoint's beginning
	work    sync.WaitGroup
	saving  sync.Mutex
	saved   atomic.Int64
	unsaved atomic.Bool // a sync has failed
}

// begin opens the file that the blob is written to; with resume one that another
// stream has begun, or that the next may go on with.
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
		if k.partial, err = k.continues(); err != nil || k.partial {
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
			werr = errors.Join(err, werr) // nobody shall go on with these bytes
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

func (k *keeper) take(p []byte, end bool) error {
	k.hash.Write(p)
	k.n += int64(len(p))
	if k.n > k.want.Size {
		return fmt.Errorf("keep %s: more than its %d bytes", k.want.Digest, k.want.Size)
	}
	// What was begun is in the file.
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

// commit makes the blob visible: verified, then durable, then named.
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
		// Another process was first, or what is there is of another size.
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

// drop removes the temporary file. Closing it frees its lock, and then it is
// for whoever opens the cache, or keeps the same blob: so that comes last.
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

// Close closes the stream. What was not read to its end is not kept, but for the
// next [Cache.Resume].
func (k *keeper) Close() error { return errors.Join(k.ReadCloser.Close(), k.leave()) }
