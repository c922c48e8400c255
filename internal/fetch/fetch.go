// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/unpack"
)

// Options say how layers are fetched; the zero value works.
type Options struct {
	// Progress is called at every step; nil is not called.
	Progress func(progress.Event)
	// Buffers keeps buffers from one layer to the next; nil allocates them anew.
	Buffers *unpack.Buffers
	// Logger is told which layers are fetched again; nil is silent.
	Logger *slog.Logger
}

// Fetcher fetches the layers of one image. Its methods may be called concurrently.
type Fetcher struct {
	source  *source.Source
	options Options

	mu       sync.Mutex
	warnings []string
}

// New makes a Fetcher; it sends nothing.
func New(s *source.Source, o Options) *Fetcher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Fetcher{source: s, options: o}
}

// Source is where the layers come from.
func (f *Fetcher) Source() *source.Source { return f.source }

// Tell passes an event on, with the reference as its user wrote it.
func (f *Fetcher) Tell(e progress.Event) {
	if f.options.Progress != nil {
		e.Reference = f.source.Name()
		f.options.Progress(e)
	}
}

// Done reports that the layer is verified and complete.
func (f *Fetcher) Done(l Layer) {
	e := l.Event(progress.LayerDone)
	e.Offset = l.Descriptor.Size
	f.Tell(e)
}

// Warnings are what a user should know of the layers that were fetched, one line each.
func (f *Fetcher) Warnings() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.warnings
}

// Layer calls use with the layer's blob. After an error that another try may mend,
// see [source.Retry], it calls use once more with a new Blob; use must then discard
// everything from its first call.
func (f *Fetcher) Layer(ctx context.Context, l Layer, use func(*Blob) error) error {
	high := int64(0)
	f.Tell(l.Event(progress.LayerProgress))
	return source.Retry(func() error { return f.once(ctx, l, &high, use) }, func(err error) {
		f.options.Logger.Warn("fetch the layer again", "digest", l.Descriptor.Digest, "error", err)
		f.Tell(l.Event(progress.LayerAgain))
	})
}

// LayerFrom is [Fetcher.Layer] from a checkpoint on, without a second try. The rest of
// the blob is requested at the first read.
func (f *Fetcher) LayerFrom(ctx context.Context, l Layer, from *unpack.Checkpoint, use func(*Blob) error) error {
	high := from.Offset
	b := f.blob(l, nil, &high)
	b.open = func() (io.ReadCloser, error) {
		return f.source.BlobFrom(ctx, l.Descriptor, from.BlobState, from.Offset)
	}
	b.n, b.from = from.Offset, from
	b.report(b.n)
	return errors.Join(use(b), b.Close())
}

// blob returns the Blob of a stream.
func (f *Fetcher) blob(l Layer, stream io.ReadCloser, high *int64) *Blob {
	e := l.Event(progress.LayerProgress)
	return &Blob{layer: l, buffers: f.options.Buffers, stream: stream, high: high, report: func(n int64) { e.Offset = n; f.Tell(e) }}
}

func (f *Fetcher) once(ctx context.Context, l Layer, high *int64, use func(*Blob) error) error {
	stream, err := f.source.Blob(ctx, l.Descriptor)
	if err != nil {
		return err
	}
	b := f.blob(l, stream, high)
	if err := errors.Join(use(b), b.Close()); err != nil {
		return err
	}
	// Reading it to its end should have put it into the cache.
	if f.source.KeepsBlobs() && !f.source.Has(l.Descriptor) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.warnings = append(f.warnings, fmt.Sprintf("layer %s is not in the cache: %v", l.Descriptor.Digest, cache.Kept(stream)))
	}
	return nil
}

// Jobs returns n, or the default where that is 0: the number of processors, but 2 to 4.
func Jobs(n int) int {
	if n > 0 {
		return n
	}
	return min(max(2, runtime.GOMAXPROCS(0)), 4)
}
