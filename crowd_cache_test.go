// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// cachedCrowd is what the processes of TestManyProcessesWithACache do, each
// with the cache of the store; f.images is the registry's host.
func cachedCrowd(ctx context.Context, f *field, name string) (err error) {
	kept, err := cache.Open(ctx, filepath.Join(f.store.Path(), "blobs"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	verb, image, _ := strings.Cut(name, " ")
	o := Options{
		Platform: "linux/amd64", Jobs: 1, Cache: kept, KeepBlobs: true,
		Registry: registry.Options{PlainHTTP: []string{f.images}, Retries: -1},
	}
	online, ref := New(o), f.images+"/"+image+":"+image
	o.Offline = true
	offline := New(o)
	switch verb {
	case "pull":
		_, err := online.Pull(ctx, f.store, ref)
		return err
	case "prune":
		_, err := f.store.Prune(ctx, overlaystore.PruneOptions{})
		if err == nil {
			_, err = PruneCache(ctx, f.store, kept, overlaystore.PruneOptions{})
		}
		return err
	case "use":
		return useCached(ctx, f, offline, ref)
	case "come-and-go":
		if _, err := online.Pull(ctx, f.store, ref); err != nil {
			return err
		}
		return errors.Join(useCached(ctx, f, offline, ref), f.store.Remove(ctx, ref, ""))
	}
	return fmt.Errorf("what is %q?", name)
}

// useCached does what README promises of an image that was pulled with its
// blobs, without a network: pull, bundle, and both kinds of export.
func useCached(ctx context.Context, f *field, offline *Client, ref string) error {
	pulled, err := offline.Pull(ctx, f.store, ref)
	if err != nil {
		return fmt.Errorf("offline: %w", err)
	}
	amd64, err := platform.ParseWanted("linux/amd64")
	if err != nil {
		return err
	}
	if img, err := f.store.Lookup(ref, amd64); err != nil || img.Manifest != pulled.Image.Manifest {
		return fmt.Errorf("look it up: %s, %w", img.Manifest, err)
	}
	if _, err := offline.Config(ctx, ref); err != nil {
		return fmt.Errorf("its config: %w", err)
	}
	for _, o := range []ExportOptions{{}, {Store: f.store}, {Format: Tar, Store: f.store}} {
		done, err := offline.Export(ctx, ref, io.Discard, o)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		if text := strings.Join(done.Warnings, "; "); strings.Contains(text, "compressed again") {
			return fmt.Errorf("a blob that was kept is gone: %s", text)
		}
	}
	return nil
}

// Processes pull with their blobs, use what was pulled without a network, take
// it away and prune store and cache, and some are killed: what has a name can be
// used offline at every moment. LAYERCTL_CROWD is as for TestManyProcesses.
func TestManyProcessesWithACache(t *testing.T) {
	t.Parallel()
	more := crowdGoesOn(t)
	images := makeCrowdImages(t)
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	for _, name := range crowdImages {
		r.AddLayout(filepath.Join(images, name), name)
	}
	dir := newStoreDir(t)
	for _, name := range []string{"one", "two"} {
		runInCrowd(t, "cached pull "+name, false, dir, r.Host)
	}
	var runs, kills atomic.Int64
	var wg sync.WaitGroup
	for i, name := range []string{"pull one", "pull two", "come-and-go three", "use one", "use two", "prune", "prune"} {
		wg.Go(func() {
			for n := 0; more(n) && !t.Failed(); n++ {
				if runInCrowd(t, "cached "+name, i < 2 || i == 5 && n%4 == 0, dir, r.Host) {
					kills.Add(1)
				}
				runs.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d runs, %d of them killed", runs.Load(), kills.Load())
}
