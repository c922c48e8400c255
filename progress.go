// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// EventKind says what an [Event] tells.
type EventKind int

// The kinds of events, in the order in which a pull has them.
const (
	// LayerPresent: the store has the layer; it is not fetched.
	LayerPresent EventKind = iota + 1
	// LayerMissing: the layer will be fetched. All that are missing are told
	// of before the first is fetched.
	LayerMissing
	// LayerWaiting: another process is fetching the layer. It is there when
	// that one has committed; when that one dies this pull fetches it.
	LayerWaiting
	// LayerProgress: Offset bytes of the blob have been read. The first one
	// of a layer has Offset 0, and none is below the one before it.
	LayerProgress
	// LayerAgain: what came was damaged somewhere between several responses or
	// in the cache, and the layer is fetched once more from its start.
	LayerAgain
	// LayerDone: the layer is unpacked and verified, not yet committed; of an
	// export, it is verified and in the archive.
	LayerDone
	// Committing: all layers are unpacked; one sync makes them durable.
	Committing
)

// Event is one step of a pull.
type Event struct {
	Kind EventKind
	// Layer is the layer's descriptor; zero for Committing.
	Layer ocispec.Descriptor
	// Number is the layer's place in the image, from 1, the lowest first; Of
	// is how many layers the image has.
	Number, Of int
	// Offset is how many bytes of the blob have been read so far.
	Offset int64
}

// counting reports how far a blob has been read, never less than high, which
// outlives it.
type counting struct {
	r      io.Reader
	n      int64
	high   *int64
	report func(n int64)
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	if c.n > *c.high {
		*c.high = c.n
		c.report(c.n)
	}
	return n, err
}
