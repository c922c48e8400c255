// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// Origins opens the sources of copies. It asks the cache, if there is one, before a
// registry, and opens "store:REF" in the store.
type Origins struct {
	c        *cli.Context
	registry *layerctl.Client
	offline  *layerctl.Client
	kept     *cache.Cache
	store    *overlaystore.Store
	wanted   func() (platform.Wanted, error)

	mu     sync.Mutex
	opened map[registry.Reference]stored // images of the store, by references with their digests
}

// stored is an image of the store that stays open, to be opened again.
type stored struct{ transfer.Origin }

// Close does nothing; [Origins.Close] closes the image.
func (stored) Close() error { return nil }

// OpenOrigins opens the cache and, if a reference needs it, the store. It makes neither.
// If platforms has one element, images of the store are chosen for it.
func OpenOrigins(c *cli.Context, o registry.Options, refs []string, platforms []string) (_ *Origins, err error) {
	at := &Origins{c: c, opened: map[registry.Reference]stored{}}
	dir, err := StoreDir(c)
	if err == nil {
		if _, err := os.Stat(filepath.Join(dir, "blobs", "index.json")); err == nil {
			if at.kept, err = cache.Open(c.Context, filepath.Join(dir, "blobs")); err != nil {
				Logger(c).Warn("go on without a cache", "error", err)
			}
		}
	}
	options := layerctl.Options{Registry: o, Cache: at.kept, Limits: limits(c), Memory: pathMemory(c), AnyPlatform: true}
	at.registry = layerctl.New(options)
	options.Offline = true
	at.offline = layerctl.New(options)
	at.wanted = func() (platform.Wanted, error) {
		if len(platforms) == 1 {
			return platform.ParseWanted(platforms[0])
		}
		return at.offline.Host().Wanted(), nil
	}
	if !slices.ContainsFunc(refs, func(s string) bool { r, err := registry.Parse(s); return err == nil && r.Transport() == registry.Store }) {
		return at, nil
	}
	if len(platforms) > 1 {
		return nil, errors.Join(&args.UsageError{Problem: "the store has one image for each platform, and no index of them", Advice: "'layerctl index create' makes one of several"}, at.Close())
	}
	at.store, err = StoreForRootFS(c)
	if err == nil && at.store == nil {
		err = &noStoreError{dir}
	}
	if err != nil {
		return nil, errors.Join(err, at.Close())
	}
	return at, nil
}

// Open opens the image or index that ref names, for [transfer.Options].
func (at *Origins) Open(ctx context.Context, ref registry.Reference) (transfer.Origin, error) {
	if ref.Transport() != registry.Store {
		return at.registry.Origin(ctx, ref, nil)
	}
	if ref.Digest() == "" {
		wanted, err := at.wanted()
		if err != nil {
			return nil, err
		}
		image, err := at.store.LookupToRead(ref.InRegistry().String(), wanted)
		if err != nil {
			return nil, err
		}
		ref = ref.WithDigest(image.Manifest)
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	if had, ok := at.opened[ref]; ok {
		return had, nil
	}
	origin, err := at.offline.Origin(ctx, ref, at.store)
	if err != nil {
		return nil, err
	}
	if told, ok := origin.(interface{ Warnings() []string }); ok && !at.c.Bool("quiet") {
		for _, w := range told.Warnings() {
			terminal.NewConsole(at.c.App.ErrWriter).Warn("%s: %s", ref, w)
		}
	}
	at.opened[ref] = stored{origin}
	return at.opened[ref], nil
}

// Close closes all that was opened.
func (at *Origins) Close() error {
	var errs []error
	for _, o := range at.opened {
		errs = append(errs, o.Origin.Close())
	}
	if at.store != nil {
		errs = append(errs, at.store.Close())
	}
	if at.kept != nil {
		errs = append(errs, at.kept.Close())
	}
	return errors.Join(errs...)
}
