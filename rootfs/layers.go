// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// Layer is one layer of an image.
type Layer struct {
	manifest.Layer
	// Fetch calls use with the blob of the layer, from its first byte to its last. If
	// use fails because bytes came damaged, Fetch may call it a second time. It is
	// not called for a layer that Options.Store has.
	Fetch func(ctx context.Context, use func(blob io.Reader) error) error
}

// Options say how layers are read; the zero value works.
type Options struct {
	// Store has layers that need not be fetched: they are read from their journals,
	// which lack devices that were not made when the layer was unpacked. nil means
	// none.
	Store *overlaystore.Store
	// Jobs is how many layers are fetched and read at a time; 0 means 2.
	Jobs int
	// Strict makes an error of each fault in a layer that is tolerated otherwise.
	Strict bool
	// Limits bound what a layer may be; see [unpack.ReadOptions].
	Limits unpack.Limits
	// Windows is the memory that zstd layers share; see [unpack.ReadOptions].
	Windows *unpack.Windows
	// Buffers is memory to use again; see [unpack.ReadOptions].
	Buffers *unpack.Buffers
	// Memory bounds the bytes of memory for the paths of all layers; 0 means 512 MiB,
	// and a negative number means no limit.
	Memory int64
	// Journals has the entries of layers that were fetched before, and keeps those of
	// layers that are fetched now; nil keeps none.
	Journals *Journals
	// Logger is told of faults that are tolerated; nil is silent.
	Logger *slog.Logger
}

// Errors that an image causes.
var (
	// ErrMalformed says that a layer contradicts itself or the layers below it.
	ErrMalformed = stackview.ErrMalformed
	// ErrLimit says that the paths need more than Options.Memory.
	ErrLimit = stackview.ErrLimit
)

// reader reads the layers of one image.
type reader struct {
	options Options
	layers  []Layer // the lowest first
	paths   *unpack.Paths
	stack   *stackview.Stack
}

func newReader(layers []Layer, o Options) *reader {
	if o.Jobs < 1 {
		o.Jobs = 2
	}
	paths := unpack.NewPaths(o.Memory, o.Windows)
	return &reader{options: o, layers: layers, paths: paths, stack: stackview.NewStack(stackview.Options{Memory: o.Memory, Beside: paths})}
}

// view reads all layers, each once, and merges them.
func (r *reader) view(ctx context.Context) (*stackview.View, error) {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(r.options.Jobs)
	first := map[digest.Digest]int{} // images may repeat a layer
	read := make([]*stackview.Layer, len(r.layers))
	for i, l := range r.layers {
		if _, known := first[l.DiffID]; known {
			continue
		}
		first[l.DiffID] = i
		group.Go(func() (err error) {
			read[i], err = r.read(groupCtx, i, nil)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, l := range r.layers {
		read[i] = read[first[l.DiffID]]
	}
	return r.stack.Merge(read...)
}

// watcher is called while a layer is fetched, to keep the content of a file.
type watcher interface {
	// begin is called before the first byte of the layer, again if it is fetched
	// again.
	begin(*stackview.Layer)
	// content returns the writer for the content of a file; nil if it is not wanted.
	content(layer.Entry) io.Writer
	// record is called for each entry, after its content.
	record(layer.Entry)
}

// read adds layer i to the stack, from the store or fetched. w, which may be nil,
// watches a layer that is fetched.
func (r *reader) read(ctx context.Context, i int, w watcher) (*stackview.Layer, error) {
	l := r.layers[i]
	if stored.Has(r.options.Store, l.DiffID) {
		read, err := stored.Layer(ctx, r.stack, r.options.Store, l.DiffID)
		return read, r.failed(i, err)
	}
	if w == nil {
		if read, known, err := r.options.Journals.replay(r.stack, l.DiffID); known {
			return read, r.failed(i, err)
		}
	}
	var read *stackview.Layer
	err := l.Fetch(ctx, func(blob io.Reader) error {
		read = r.stack.Layer()
		if w != nil {
			w.begin(read)
		}
		kept := r.options.Journals.begin()
		record := func(e layer.Entry) error {
			kept.note(r.stack, e)
			return read.Record(e)
		}
		result, err := r.stream(ctx, l, blob, record, w)
		if err != nil {
			return err
		}
		r.options.Journals.keep(l.DiffID, kept, result.Facts)
		return read.End(result.Facts)
	})
	return read, r.failed(i, err)
}

// failed adds to an error which layer it is about.
func (r *reader) failed(i int, err error) error {
	if err == nil {
		return nil
	}
	name := r.layers[i].Descriptor.Digest
	if name == "" { // the caller knows only what the store has
		name = r.layers[i].DiffID
	}
	return fmt.Errorf("layer %d/%d %s: %w", i+1, len(r.layers), name, err)
}

// stream reads and verifies a blob. It calls record with the entries, and w, unless
// that is nil, with entries and contents.
func (r *reader) stream(ctx context.Context, l Layer, blob io.Reader, record func(layer.Entry) error, w watcher) (unpack.Result, error) {
	o := unpack.ReadOptions{
		Strict: r.options.Strict, Limits: r.options.Limits, Windows: r.options.Windows,
		Buffers: r.options.Buffers, Logger: r.options.Logger, Record: record,
	}
	var kept int64 // bytes that unpack.Read keeps meanwhile, from the budget of the paths
	defer func() { r.stack.Release(kept) }()
	o.Keep = func(n int64) error {
		if err := r.stack.Reserve(n); err != nil {
			return err
		}
		kept += n
		return nil
	}
	if w != nil {
		o.Content = func(e layer.Entry) (io.Writer, error) { return w.content(e), nil }
		o.Record = func(e layer.Entry) error {
			err := record(e)
			w.record(e)
			return err
		}
	}
	return unpack.Read(ctx, blob, unpack.Source{MediaType: l.Descriptor.MediaType, DiffID: l.DiffID, Size: l.Descriptor.Size}, o)
}
