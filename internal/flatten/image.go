// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// Options say how the layers of an image are read. Fetch must be set; the zero
// values of the other fields work.
type Options struct {
	// Fetch fetches the layers that Store does not have.
	Fetch  *fetch.Fetcher
	Logger *slog.Logger
	// Strict makes an error of each fault in a layer that is tolerated otherwise.
	Strict bool
	// Jobs is how many layers are fetched and unpacked at a time; see
	// [fetch.Jobs].
	Jobs    int
	Limits  unpack.Limits
	Windows *unpack.Windows
	// Memory bounds the bytes of memory that the paths of all layers take, both
	// while they are unpacked and after they are merged. 0 means 512 MiB, and a
	// negative number means no limit.
	Memory  int64
	Devices unpack.Devices
	// Store has layers that need not be fetched; nil for none.
	Store *overlaystore.Store
	// Choice says which paths are wanted; nil means all.
	Choice *Choice
	// Strip is how many leading components are removed from each path. Paths with
	// no more components than that are left out.
	Strip int
	// SameOwner gives each file its owner of the image. Otherwise the caller owns
	// all files; capabilities, devices, and the set-id bits of other owners are left
	// out.
	SameOwner bool
	// RecordOnly keeps owners, devices and other things that only a privileged
	// process can make in memory only, for a caller that needs the contents of files
	// and no tree.
	RecordOnly bool
}

// Image is an image whose layers were read. Layers of the store stay there; the
// others were unpacked in the temporary directory of a place.
type Image struct {
	options Options
	place   *Place
	stack   *stackview.Stack
	view    *stackview.View
	all     []manifest.Layer
	unread  int // how many of the lowest layers are not needed
	lease   *overlaystore.Lease
	paths   *unpack.Paths

	mu     sync.Mutex
	layers map[digest.Digest]*readLayer // guarded by mu
	notes  map[string]int64             // guarded by mu
	dirs   int                          // guarded by mu
}

// readLayer is a layer that was read.
type readLayer struct {
	fetch.Layer
	view    *stackview.Layer
	content content
	staged  bool
	wanted  func(path string) bool // which paths of a staged layer were written
	close   func() error
}

// Read reads the layers, given the lowest first; name is the name of the store's
// lease. The caller closes the image. If the choice has no glob, Read begins with the
// topmost layer and ends with the first below which nothing can change what is
// wanted.
func Read(ctx context.Context, place *Place, name string, layers []manifest.Layer, o Options) (_ *Image, err error) {
	paths := unpack.NewPaths(o.Memory, o.Windows)
	i := &Image{
		options: o, place: place, all: layers, paths: paths,
		stack:  stackview.NewStack(stackview.Options{Memory: o.Memory, Beside: paths}),
		layers: map[digest.Digest]*readLayer{}, notes: map[string]int64{},
	}
	if o.Store != nil {
		if i.lease, err = o.Store.Lease(ctx, name, source.Image{Layers: layers}.DiffIDs()...); err != nil {
			return nil, err
		}
	}
	if err := i.read(ctx); err != nil {
		return nil, errors.Join(i.explain(err), i.Close())
	}
	return i, nil
}

func (i *Image) read(ctx context.Context) (err error) {
	if i.unread, err = i.readNeeded(ctx, i.all); err != nil {
		return err
	}
	if i.view, err = i.merge(); err != nil {
		return err
	}
	return i.readAgain(ctx, i.all[i.unread:])
}

// explain adds to a [*unpack.SpaceError] which filesystem is full.
func (i *Image) explain(err error) error {
	var reserve *unpack.SpaceError
	if errors.As(err, &reserve) {
		return fmt.Errorf("%w, on the filesystem of %s", err, i.place.path)
	}
	return err
}

// Close closes the layers and ends the lease.
func (i *Image) Close() error {
	i.paths.Release()
	var errs []error
	for _, l := range i.layers {
		errs = append(errs, l.close())
	}
	if i.lease != nil {
		errs = append(errs, i.lease.Release())
	}
	return errors.Join(errs...)
}

// View returns what the layers show.
func (i *Image) View() *stackview.View { return i.view }

// Open opens a regular file of the view.
func (i *Image) Open(f stackview.File) (io.ReadSeekCloser, error) {
	return i.layers[i.all[i.unread+f.Layer].DiffID].content.open(f)
}

// Make makes the tree that the view shows, as the options choose, and moves it to
// its place. For a wanted pattern that matches nothing the error is of the kind
// [errkind.NotFound].
func (i *Image) Make(ctx context.Context) (Counts, error) {
	o := makeOptions{
		choice: i.options.Choice, strip: i.options.Strip, sameOwner: i.options.SameOwner,
		noDevices: !i.options.SameOwner || i.options.Devices == unpack.SkipDevices,
		leftOut:   func(key string) { i.note(key, 1) },
	}
	if !o.sameOwner {
		o.caller = thisCaller()
	}
	for _, l := range i.all[i.unread:] {
		o.contents = append(o.contents, i.layers[l.DiffID].content)
	}
	made, err := makeTree(ctx, i.place.root, i.view, o)
	if err == nil {
		err = i.place.commit(ctx, made)
	}
	if err != nil {
		return Counts{}, i.explain(err)
	}
	return made.counts, nil
}

// Notes counts what was left out or changed, by the keys of [unpack.Note].
func (i *Image) Notes() map[string]int64 { return i.notes }

// Layers counts the layers: those that were fetched, those that the store had, and
// those that were not needed. A layer that the image has twice counts once.
func (i *Image) Layers() (fetched, stored, unread int) {
	for _, l := range fetch.Distinct(i.all) {
		switch read := i.layers[l.DiffID]; {
		case read == nil:
			unread++
		case read.staged:
			fetched++
		default:
			stored++
		}
	}
	return fetched, stored, unread
}
