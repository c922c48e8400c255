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

// Options say how the layers of an image are read. The zero value works, but
// for Fetch.
type Options struct {
	Fetch  *fetch.Fetcher
	Logger *slog.Logger
	// Strict turns every leniency into an error.
	Strict bool
	// Jobs is how many layers are fetched and unpacked at a time; see
	// [fetch.Jobs].
	Jobs    int
	Limits  unpack.Limits
	Windows *unpack.Windows
	// Memory bounds the bytes that the paths of all layers may take, where they
	// are merged and in what unpacking keeps of them. 0 means 512 MiB, and a
	// negative number no limit.
	Memory  int64
	Devices unpack.Devices
	// Store has layers that need not be fetched; nil for none.
	Store *overlaystore.Store
	// Choice is what is wanted of the image; nil is everything.
	Choice *Choice
	// Strip takes so many leading components off each path, and leaves out what
	// then has none.
	Strip int
	// SameOwner gives everything its owner of the image; otherwise it is the
	// caller's, and has no capabilities and no devices.
	SameOwner bool
	// RecordOnly keeps what only a privileged process may do in memory, for
	// those who want the contents of the files alone.
	RecordOnly bool
}

// Image is the layers of an image, read: those of the store stay there, the
// others are unpacked at a place.
type Image struct {
	options Options
	place   *Place
	stack   *stackview.Stack
	view    *stackview.View
	all     []manifest.Layer
	unread  int // of the lowest layers
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
	wanted  func(path string) bool // what was written of a staged one
	close   func() error
}

// Read reads what is needed of the layers, the lowest first; name is for the
// store's lease. The caller closes the image. Where the choice has no glob,
// layers are read from the topmost down, and those below the one that settles
// the last path not at all.
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

// explain says of a full disk where it is.
func (i *Image) explain(err error) error {
	var reserve *unpack.SpaceError
	if errors.As(err, &reserve) {
		return fmt.Errorf("%w, on the filesystem of %s", err, i.place.path)
	}
	return err
}

// Close lets go of the layers.
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

// View is what the layers show.
func (i *Image) View() *stackview.View { return i.view }

// Open opens a regular file of the view.
func (i *Image) Open(f stackview.File) (io.ReadSeekCloser, error) {
	return i.layers[i.all[i.unread+f.Layer].DiffID].content.open(f)
}

// Make makes the tree that the view shows and brings it to its place.
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

// Notes count what was not taken as the image says, under the keys of
// [unpack.Note].
func (i *Image) Notes() map[string]int64 { return i.notes }

// Layers counts the layers: how many were fetched, how many the store had, and
// of how many nothing was needed.
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
