// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"cmp"
	"context"
	_ "crypto/sha256" // these imports register the algorithms of go-digest
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrMiss says that a blob or a name is not in the cache, or that the blob is damaged.
var ErrMiss = errkind.New(errkind.Mismatch, "not in the cache")

// algorithms lists the algorithms of digests that blobs may have.
var algorithms = []digest.Algorithm{digest.SHA256, digest.SHA512}

// Cache is an open cache. Its methods may be called concurrently.
type Cache struct {
	dir   *os.File
	blobs map[digest.Algorithm]*os.File // the directories of blobs
	every time.Duration                 // between checkpoints; 0 means checkpointEvery
}

func (c *Cache) checkpointEvery() time.Duration { return cmp.Or(c.every, checkpointEvery) }

// Open opens the cache in dir, and makes it, with mode 0700, if it is missing. It removes
// temporary files of processes that died. A directory with something else in it is an
// error. For root so is a directory of another user, which is an [errkind.Denied].
func Open(ctx context.Context, dir string) (_ *Cache, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	c := &Cache{blobs: map[digest.Algorithm]*os.File{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open cache %s: %w", dir, err), c.Close())
		}
	}()
	if c.dir, err = durable.OpenDir(dir); err != nil {
		return nil, err
	}
	if err := checkOwner(c.dir, os.Geteuid()); err != nil {
		return nil, err
	}
	return c, c.prepare(ctx)
}

// checkOwner refuses for root a directory that another user could change meanwhile.
func checkOwner(dir *os.File, user int) error {
	st, err := fsat.Stat(dir)
	if err != nil {
		return err
	}
	if user == 0 && st.Uid != 0 {
		return errkind.With(errkind.Denied, fmt.Errorf("it belongs to user %d, and root uses none that others may change", st.Uid))
	}
	return nil
}

// prepare makes missing files and directories, and sweeps temporary files. Under the lock
// no two processes do this at once, and none has just made a temporary file that is not
// flocked yet.
func (c *Cache) prepare(ctx context.Context) (err error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := c.checkLayout(ctx); err != nil {
		return err
	}
	blobs, err := ensureDir(ctx, c.dir, "blobs")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blobs.Close()) }()
	for _, a := range algorithms {
		if c.blobs[a], err = ensureDir(ctx, blobs, a.String()); err != nil {
			return err
		}
	}
	return c.sweep(ctx)
}

func ensureDir(ctx context.Context, parent *os.File, name string) (*os.File, error) {
	err := durable.Mkdir(ctx, parent, name, 0o755)
	if err == nil {
		err = durable.SyncDir(ctx, parent)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return durable.OpenDirAt(parent, name)
}

// errUnopened is the error of all methods of a zero Cache.
var errUnopened = errors.New("a cache that was not opened")

// lock takes the lock under which index.json is changed and temporary files are made.
func (c *Cache) lock(ctx context.Context) (func() error, error) {
	if c.dir == nil {
		return nil, errUnopened
	}
	return durable.Lock(ctx, c.dir, "lock", durable.Exclusive, nil)
}

// usersFile is locked, shared, by processes that use the cache, and exclusively by one that
// prunes it.
const usersFile = "users"

// Use keeps the cache from being pruned until release is called. It waits while the cache
// is being pruned.
func (c *Cache) Use(ctx context.Context) (release func() error, err error) {
	if c.dir == nil {
		return nil, errUnopened
	}
	return durable.Lock(ctx, c.dir, usersFile, durable.Shared, nil)
}

// TryAlone makes [Cache.Use] wait until release is called. release is nil if somebody uses
// the cache.
func (c *Cache) TryAlone(ctx context.Context) (release func() error, err error) {
	if c.dir == nil {
		return nil, errUnopened
	}
	return durable.TryLock(ctx, c.dir, usersFile, durable.Exclusive)
}

// sweep removes the temporary files that no process has flocked.
func (c *Cache) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(c.dir.Name())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), durable.TempPrefix) || !e.Type().IsRegular() {
			continue
		}
		if err := c.sweepOne(ctx, e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sweepOne removes a file unless a process has flocked it.
func (c *Cache) sweepOne(ctx context.Context, name string) (err error) {
	f, err := fsat.OpenFile(c.dir, name)
	if errors.Is(err, fsat.ErrNotRegular) {
		return nil // it is not the cache's
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if free, err := durable.TryFlock(f, durable.Exclusive); err != nil || !free {
		return err
	}
	return durable.Remove(ctx, c.dir, name)
}

// Close closes the cache. Open blobs can still be read.
func (c *Cache) Close() error {
	var errs []error
	if c.dir != nil {
		errs = append(errs, c.dir.Close())
	}
	for _, d := range c.blobs {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// place returns the directory and the name of a blob's file, whether it exists or not. It
// returns an error if no blob can have the descriptor.
func (c *Cache) place(desc ocispec.Descriptor) (dir *os.File, name string, err error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, "", fmt.Errorf("digest %q: %w", string(desc.Digest), err)
	}
	if c.dir == nil {
		return nil, "", errUnopened
	}
	dir, ok := c.blobs[desc.Digest.Algorithm()]
	if !ok || desc.Size < 0 {
		return nil, "", fmt.Errorf("descriptor of %d bytes, digest %q", desc.Size, string(desc.Digest))
	}
	return dir, desc.Digest.Encoded(), nil
}
