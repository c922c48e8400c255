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
	// MediaType is that of the layer's descriptor. Where it is empty the first bytes
	// of the blob tell the compression.
	MediaType string
	// DiffID is the digest that the uncompressed tar must have; empty compares none.
	DiffID digest.Digest
	// Size is the length of the blob in bytes, 0 where it is unknown: small blobs are
	// unpacked in one goroutine.
	Size int64
	// From is a checkpoint to continue from: the blob's reader begins at its Offset.
	// The directory must be as it was then, except for the times of directories, which
	// the journal has. nil begins at the start.
	From *Checkpoint
}

// Devices says what becomes of device nodes. Character devices 0/0 are always left
// out: they would be whiteouts.
type Devices byte

// What becomes of device nodes.
const (
	MakeDevices   Devices = iota // made where the process may make them, else left out with a note
	SkipDevices                  // left out, with a note that Strict does not turn into an error
	RefuseDevices                // an error
)

// Options says how a layer is unpacked. The zero value suits a store of root.
type Options struct {
	// Form is the form of the layer on the disk; zero is what root uses: character
	// devices, trusted xattrs, ids as they are.
	layer.Form
	// Devices is the policy for device nodes.
	Devices Devices
	// Strict turns every leniency that [Result.Notes] would count into an
	// error.
	Strict bool
	// Limits bound what a layer may take; zero fields are defaults.
	Limits Limits
	// Windows is the memory for zstd windows above 8 MiB, which several layers may
	// share; nil allows each layer a window of 128 MiB.
	Windows *Windows
	// Buffers is memory of layers unpacked before, to be used again; nil allocates.
	Buffers *Buffers
	// Paths is the memory for the paths that are kept, which several layers may
	// share; nil leaves them to Limits.
	Paths *Paths
	// WriteBehind has the kernel begin to write large files to the disk at once,
	// without waiting, for a caller that syncs afterwards.
	WriteBehind bool
	// Serial does all work in the caller's goroutine, one step after the other.
	Serial bool
	// Skip says whether the content of a regular file, device or FIFO, given by its
	// path in the layer, is unwanted. An empty file then takes its place on disk, and
	// the journal has its entry without Sum. nil skips nothing.
	Skip func(path string) bool
	// Checkpoints says when to make checkpoints; nil makes none.
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
	// Bytes is the size of the uncompressed tar and of the holes of sparse files,
	// which do not stand in it: 256 GiB.
	Bytes int64
	// Ratio is how many times larger than the blob the tar may be, once it is larger
	// than 1 GiB: 200.
	Ratio int64
	// Reserve is the space in bytes that stays free on the filesystem:
	// 64 MiB.
	Reserve int64
	// Recorded is the memory in bytes for the paths that [Result] lists and for
	// directories whose attributes must wait for the end: 64 MiB, but 512 MiB for
	// [Read], which keeps every path.
	Recorded int64
}

// ReserveBytes returns Reserve, or its default.
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
