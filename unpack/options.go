// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"log/slog"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/layer"
	"github.com/opencontainers/go-digest"
)

// Source says what the blob is.
type Source struct {
	// MediaType is that of the layer's descriptor; empty goes by the first
	// bytes of the blob.
	MediaType string
	// DiffID is the digest that the uncompressed tar must have; empty is not
	// compared.
	DiffID digest.Digest
	// Size is the length of the blob where it is states: small ones are
	// unpacked without the stages that work beside each other.
	Size int64
	// From is a checkpoint of an earlier unpacking, whose blob goes on there; nil
	// begins. The directory must be as it was then, but for the times of
	// directories, which the journal has.
	From *Checkpoint
}

// Devices says what becomes of device nodes. Those with number 0/0 never
// become one: they would be whiteouts.
type Devices byte

// What becomes of device nodes.
const (
	MakeDevices   Devices = iota // made where the process may, else left out with a note
	SkipDevices                  // left out, with a note that Strict does not turn into an error
	RefuseDevices                // an error
)

// Options says how a layer is unpacked. The zero value suits a store of root.
type Options struct {
	// Form is how the layer shall lie on the disk; zero is what root uses:
	// character devices, trusted xattrs, ids as they are.
	layer.Form
	// Devices is the policy for device nodes; zero makes them where it can.
	Devices Devices
	// Strict turns every leniency that [Result.Notes] would count into an
	// error.
	Strict bool
	// Limits bound what a layer may take; zero fields are defaults.
	Limits Limits
	// Windows is memory that zstd frames with a window above 8 MiB take from;
	// nil lets each layer have a window of 128 MiB.
	Windows *Windows
	// Buffers is memory that was used for other layers before; nil takes new
	// memory.
	Buffers *Buffers
	// Paths is memory that the paths which are kept take from, beside Windows;
	// nil bounds them for each layer only.
	Paths *Paths
	// WriteBehind lets the device begin with large files at once, and waits for
	// none of it: right where a sync follows, which then has less to do.
	WriteBehind bool
	// Serial does all work in the caller's goroutine, one step after the other.
	Serial bool
	// Skip says of a regular file, device or FIFO, by its path in the layer,
	// that its content is not wanted: an empty file takes its place on disk, and
	// the journal has it as the tar does, but for its sum. nil skips nothing.
	Skip func(path string) bool
	// Checkpoints has checkpoints made; nil makes none.
	Checkpoints *Checkpoints
	// Record receives the journal of what was made, from one goroutine at a
	// time, in the order in which it took effect; nil keeps none. Its error
	// ends the unpacking.
	Record func(layer.Entry) error
	// Logger receives one line for the first leniency of each kind; nil is
	// silent.
	Logger *slog.Logger
}

// Limits bound what one layer may take. In each field zero means the default
// and a negative number no limit.
type Limits struct {
	// Entries is the number of tar entries: 5 million.
	Entries int64
	// Depth is the number of names in a path: 1000.
	Depth int
	// Bytes is the size of the uncompressed tar, with the holes of sparse files
	// that do not stand in it: 256 GiB.
	Bytes int64
	// Ratio is how many times larger than the blob the tar may grow, looked
	// at once it is past 1 GiB: 200.
	Ratio int64
	// Reserve is the space in bytes that stays free on the filesystem:
	// 64 MiB.
	Reserve int64
	// Recorded is the memory in bytes for the paths that [Result] lists and
	// for directories whose attributes must wait for the end: 64 MiB. [Read]
	// keeps every path: 512 MiB.
	Recorded int64
}

// ReserveBytes is Reserve with its default.
func (l Limits) ReserveBytes() uint64 { return uint64(l.withDefaults().Reserve) }

func (l Limits) withDefaults() Limits {
	l.Entries = limit(l.Entries, 5_000_000)
	l.Depth = int(min(limit(int64(l.Depth), 1000), entryname.MaxPath))
	l.Bytes = limit(l.Bytes, 256<<30)
	l.Ratio = limit(l.Ratio, 200)
	if l.Reserve == 0 {
		l.Reserve = 64 << 20
	}
	l.Reserve = max(l.Reserve, 0)
	l.Recorded = limit(l.Recorded, 64<<20)
	return l
}

func limit(n, fallback int64) int64 {
	switch {
	case n == 0:
		return fallback
	case n < 0:
		return 1<<63 - 1
	}
	return n
}
