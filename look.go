// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/unpack"
)

// LookOptions say how [Client.View] and [Client.OpenFile] look into an image;
// the zero value works.
type LookOptions struct {
	// Store is asked for layers before any is fetched: a layer that it has is
	// read from its records, in which devices that were not made are missing.
	// nil asks none.
	Store *overlaystore.Store
	// Jobs is how many layers are fetched and read at a time; 0 means
	// [DefaultJobs].
	Jobs int
	// Limits bound what a layer may be; see [unpack.ReadOptions].
	Limits unpack.Limits
	// Windows is the memory that zstd layers share; see [unpack.ReadOptions].
	Windows *unpack.Windows
	// Memory bounds the bytes that the paths of all layers may take; 0 means
	// 512 MiB, and a negative number no limit.
	Memory int64
	// Progress hears of the layers that are fetched, [LayerMissing],
	// [LayerProgress] and [LayerAgain], from several goroutines at once, and
	// must not block for long; nil hears nothing.
	Progress func(Event)
}

// View is the root filesystem that an image shows, in memory, without the
// contents of its files. It is safe for use by several goroutines.
type View struct{ view *stackview.View }

// View reads all layers of the image that ref means for the client's platform,
// and writes nothing. Each layer was verified when View returns.
//
// Errors are those of [Client.Pull], [ErrMalformed], and [ErrLimit] where the
// paths take more memory than they may.
func (c *Client) View(ctx context.Context, ref string, o LookOptions) (*View, error) {
	var view *stackview.View
	err := c.look(ctx, ref, o, func(k *look) (err error) {
		view, err = k.view(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &View{view}, nil
}

// Stat is what the view has at path, as a process in the root filesystem
// would give it: "." and ".." may be in it, and symbolic links of its parents
// are followed, its own where follow is true or a slash follows it. The path
// of the answer is without them. The error is a [*PathError] with [ErrNoPath].
func (v *View) Stat(path string, follow bool) (File, error) {
	f, ok := v.view.Resolve(path, follow)
	if !ok {
		return File{}, &PathError{Path: path, Err: ErrNoPath}
	}
	return newFile(f), nil
}

// In yields what a directory holds, sorted by name, byte for byte. The path is
// one that [View.Stat] gave.
func (v *View) In(dir string) iter.Seq[File] { return files(v.view.In(inside(dir))) }

// Below yields all that is below a directory, a directory before what is in
// it. The path is one that [View.Stat] gave.
func (v *View) Below(dir string) iter.Seq[File] {
	return func(yield func(File) bool) {
		for f := range files(v.view.Below(inside(dir))) {
			if f.Path != dir && !yield(f) {
				return
			}
		}
	}
}

// look is one image that is looked into.
type look struct {
	client  *Client
	source  *source.Source
	fetch   *fetch.Fetcher
	options LookOptions
	stack   *stackview.Stack
	layers  []fetch.Layer // the lowest first
}

// look opens ref and finds its layers.
func (c *Client) look(ctx context.Context, ref string, o LookOptions, use func(*look) error) error {
	k := &look{client: c, options: o, stack: stackview.NewStack(stackview.Options{Memory: o.Memory})}
	return c.with(ctx, ref, func(s *source.Source) error {
		k.source, k.fetch = s, c.fetcher(s, o.Progress)
		layers, err := k.find(ctx)
		if err == nil {
			k.layers = fetch.Number(layers)
			err = use(k)
		}
		if err != nil {
			return fmt.Errorf("look into %s: %w", s.Reference(), err)
		}
		return nil
	})
}

// find lists the image's layers, the lowest first. Of an image that the store
// has only its manifest's digest is asked for, and offline nothing.
func (k *look) find(ctx context.Context) ([]manifest.Layer, error) {
	if k.client.options.Offline && k.options.Store != nil {
		stored, err := k.options.Store.Lookup(k.source.Reference().String())
		if err == nil && k.wanted(stored) && k.complete(stored) {
			return storedLayers(stored), nil
		}
	}
	r, err := k.source.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	if k.options.Store != nil {
		stored, err := k.options.Store.Image(r.Manifest.Digest)
		if err == nil && k.complete(stored) {
			return storedLayers(stored), nil
		}
	}
	image, err := k.source.Image(ctx, r)
	return image.Layers, err
}

// wanted is true for an image of the platform that was asked for, if any was.
func (k *look) wanted(stored overlaystore.Image) bool {
	if k.client.options.Platform == "" {
		return true
	}
	wanted, err := platform.Parse(k.client.options.Platform)
	return err == nil && len(platform.Compare(&wanted, stored.Platform)) == 0
}

func (k *look) complete(stored overlaystore.Image) bool {
	return !slices.ContainsFunc(stored.Layers, func(d digest.Digest) bool { return !k.stored(d) })
}

// stored is true for a layer that the store has, if there is one.
func (k *look) stored(diffID digest.Digest) bool {
	if k.options.Store == nil {
		return false
	}
	dir, err := k.options.Store.OpenLayer(diffID)
	return err == nil && dir.Close() == nil
}

// storedLayers are those of an image's record, which needs no blobs.
func storedLayers(i overlaystore.Image) []manifest.Layer {
	var layers []manifest.Layer
	for _, diffID := range i.Layers {
		layers = append(layers, manifest.Layer{DiffID: diffID})
	}
	return layers
}

// view reads all layers, each once, and merges them.
func (k *look) view(ctx context.Context) (*stackview.View, error) {
	read := map[digest.Digest]*stackview.Layer{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(fetch.Jobs(k.options.Jobs))
	made := make([]*stackview.Layer, len(k.layers))
	for i, l := range k.layers {
		if _, again := read[l.DiffID]; again {
			continue
		}
		read[l.DiffID] = nil
		group.Go(func() (err error) {
			made[i], err = k.read(groupCtx, l, nil)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, l := range k.layers {
		if made[i] != nil {
			read[l.DiffID] = made[i]
		}
		made[i] = read[l.DiffID]
	}
	return k.stack.Merge(made...)
}
