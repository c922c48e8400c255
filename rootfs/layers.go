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
	// Fetch gives use the blob of the layer, from its first byte to its last.
	// Where use returns an error because the bytes came damaged, Fetch may
	// call it a second time. Only layers that no store has are fetched.
	Fetch func(ctx context.Context, use func(blob io.Reader) error) error
}

// Options say how layers are read; the zero value works.
type Options struct {
	// Store is asked for layers before any is fetched: a layer that it has is
	// read from its journal, in which devices that were not made are missing.
	// nil asks none.
	Store *overlaystore.Store
	// Jobs is how many layers are fetched and read at a time; 0 means 2.
	Jobs int
	// Strict turns every leniency into an error.
	Strict bool
	// Limits bound what a layer may be; see [unpack.ReadOptions].
	Limits unpack.Limits
	// Windows is the memory that zstd layers share; see [unpack.ReadOptions].
	Windows *unpack.Windows
	// Buffers is memory to use again; see [unpack.ReadOptions].
	Buffers *unpack.Buffers
	// Memory bounds the bytes that the paths of all layers may take; 0 means
	// 512 MiB, and a negative number no limit.
	Memory int64
	// Journals remember what layers said that were fetched, and are asked before
	// one is; nil remembers nothing.
	Journals *Journals
	// Logger hears of leniencies; nil is silent.
	Logger *slog.Logger
}

// Errors that an image causes.
var (
	// ErrMalformed: the layers do not make sense together.
	ErrMalformed = stackview.ErrMalformed
	// ErrLimit: the paths take more than Options.Memory.
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

// watcher sees a layer that is fetched go by.
type watcher interface {
	// begin says that the layer comes, from its first byte.
	begin(*stackview.Layer)
	// content gives the writer for a file's content; nil for a file that is
	// not wanted.
	content(layer.Entry) io.Writer
	// record hears of each entry, after its content.
	record(layer.Entry)
}

// read brings layer i into the stack: from the store, or fetched, which w, if
// there is one, may watch.
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
		said := r.options.Journals.begin()
		record := func(e layer.Entry) error {
			said.note(r.stack, e)
			return read.Record(e)
		}
		result, err := r.stream(ctx, l, blob, record, w)
		if err != nil {
			return err
		}
		r.options.Journals.keep(l.DiffID, said, result.Facts)
		return read.End(result.Facts)
	})
	return read, r.failed(i, err)
}

// failed names the layer of an error.
func (r *reader) failed(i int, err error) error {
	if err == nil {
		return nil
	}
	name := r.layers[i].Descriptor.Digest
	if name == "" { // only the store was asked
		name = r.layers[i].DiffID
	}
	return fmt.Errorf("layer %d/%d %s: %w", i+1, len(r.layers), name, err)
}

// stream has a blob verified on its way to record and to w.
func (r *reader) stream(ctx context.Context, l Layer, blob io.Reader, record func(layer.Entry) error, w watcher) (unpack.Result, error) {
	o := unpack.ReadOptions{
		Strict: r.options.Strict, Limits: r.options.Limits, Windows: r.options.Windows,
		Buffers: r.options.Buffers, Logger: r.options.Logger, Record: record,
	}
	var kept int64 // by Read, in the same memory as the paths
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
