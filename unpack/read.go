// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"cmp"
	"context"
	"io"
	"log/slog"

	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/layer"
)

// ReadOptions says how a layer is read. The zero value only verifies it.
type ReadOptions struct {
	// Strict turns every leniency that [Result.Notes] would count into an
	// error.
	Strict bool
	// Limits bound what the layer may be; zero fields are defaults. Reserve does not
	// count. Recorded bounds what is kept in memory, about 20 bytes for each path.
	Limits Limits
	// Windows, Paths and Buffers are those of [Options].
	Windows *Windows
	Paths   *Paths
	Buffers *Buffers
	// Serial does all work in the caller's goroutine, one step after the other.
	Serial bool
	// Record receives the journal, as with [Options.Record]; nil keeps none. It is
	// verified only when Read returns without an error.
	Record func(layer.Entry) error
	// Content is called for each regular file with content of its own, before the
	// content is read and the file recorded, so the entry has no Sum. It returns the
	// writer for the content, which is not closed, or nil where the content is not
	// wanted. Later entries may replace the file. A nil Content wants none. Content is
	// verified only when Read returns without an error.
	Content func(layer.Entry) (io.Writer, error)
	// Tar receives the uncompressed tar, and entries say where their content is.
	Tar io.Writer
	// Begun is the beginning of the tar, up to Source.From. It is read and verified
	// again; Tar receives what follows.
	Begun io.Reader
	// Checkpoints says when to make checkpoints of Tar; nil makes none.
	Checkpoints *Checkpoints
	// Keep is called before so many more bytes are kept in memory until Read returns,
	// in Read's goroutine; its error ends Read. nil is not called.
	Keep func(bytes int64) error
	// Logger receives one line for the first leniency of each kind; nil is
	// silent.
	Logger *slog.Logger
}

// Read reads one layer without a disk. Its journal and its result are those of
// [Layer] for root with whiteouts as devices, on a filesystem that takes everything
// that a layer may have.
//
// The blob is read to its end and verified, and the errors are those of Layer. Until
// it returns Read keeps more memory than Layer: a hash of each path with its type,
// and the targets of symlinks.
func Read(ctx context.Context, blob io.Reader, want Source, o ReadOptions) (Result, error) {
	o.Limits.Recorded = cmp.Or(o.Limits.Recorded, 512<<20)
	limits := o.Limits.withDefaults()
	m := layerdisk.NewMemory()
	defer m.Release()
	u := newUnpacker(m, layerdisk.MemoryRoot, Options{Strict: o.Strict, Limits: limits, Windows: o.Windows, Buffers: o.Buffers, Paths: o.Paths, Serial: o.Serial, Record: o.Record, Logger: o.Logger, Checkpoints: o.Checkpoints})
	defer func() { o.Paths.Give(u.meter.read) }()
	m.Keep = func(bytes int64) error {
		if err := u.meter.keepBytes(bytes); err != nil || o.Keep == nil {
			return err
		}
		return o.Keep(bytes)
	}
	u.content, u.copy, u.begun = o.Content, o.Tar, o.Begun
	if u.content == nil {
		u.content = func(layer.Entry) (io.Writer, error) { return nil, nil }
	}
	return u.readBlob(ctx, blob, want)
}
