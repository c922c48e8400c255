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
	// Limits bound what the layer may be; zero fields are defaults. Reserve is
	// not looked at. Recorded bounds what is kept in memory, about 20 bytes for
	// each path.
	Limits Limits
	// Windows is memory that zstd frames with a window above 8 MiB take from;
	// nil lets each layer have a window of 128 MiB.
	Windows *Windows
	// Paths is memory that what is kept takes from, beside Windows; nil bounds it
	// for each layer only.
	Paths *Paths
	// Buffers is memory that was used for other layers before; nil takes new
	// memory.
	Buffers *Buffers
	// Serial does all work in the caller's goroutine, one step after the other.
	Serial bool
	// Record receives the journal, as with [Options.Record]; nil hears
	// nothing. Until Read returns without an error nothing of it is verified.
	Record func(layer.Entry) error
	// Content is asked about each regular file that has content of its own,
	// before that is read and before the file is recorded: Sum is not known
	// yet. The content goes to the writer, which is not closed; nil is for a
	// file that nobody wants. Later entries may replace the file. A nil Content
	// wants none. Until Read returns without an error nothing is verified.
	Content func(layer.Entry) (io.Writer, error)
	// Tar receives the uncompressed tar, and entries say where their content is.
	Tar io.Writer
	// Begun is the beginning of the tar where Source.From goes on behind it: it is
	// read again, all of it proven, and Tar receives the rest.
	Begun io.Reader
	// Checkpoints has checkpoints made where Tar keeps the tar; nil makes none.
	Checkpoints *Checkpoints
	// Keep is asked before so many more bytes are kept in memory until Read
	// returns, in its goroutine; an error ends it. nil is not asked.
	Keep func(bytes int64) error
	// Logger receives one line for the first leniency of each kind; nil is
	// silent.
	Logger *slog.Logger
}

// Read reads one layer and writes nothing: its journal and its result are
// those with which [Layer] would unpack it as root into a store with
// whiteouts as devices, on a filesystem that takes all that a layer may have.
//
// The blob is read to its end, verified, and its errors are told as Layer does
// it. In memory it keeps, besides what Layer does, a hash of each path of the layer
// with its type, and the targets of symlinks, until it returns.
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
