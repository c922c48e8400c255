// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kind says what an [Event] tells.
type Kind int

// The kinds of events, in the order in which a pull has them.
const (
	// LayerPresent: the store has the layer, or the engine that the image is handed
	// over to, or for an archive the cache its blob; it is not fetched.
	LayerPresent Kind = iota + 1
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

// String is the kind in lower-case words.
func (k Kind) String() string {
	switch k {
	case LayerPresent:
		return "present"
	case LayerMissing:
		return "missing"
	case LayerWaiting:
		return "waiting"
	case LayerProgress:
		return "progress"
	case LayerAgain:
		return "again"
	case LayerDone:
		return "done"
	case Committing:
		return "committing"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Event is one step of a pull.
type Event struct {
	Kind Kind
	// Reference is the image's, as the caller gave it.
	Reference string
	// Layer is the layer's descriptor; zero for Committing.
	Layer ocispec.Descriptor
	// Number is the layer's place in the image, from 1, the lowest first; Of
	// is how many layers the image has.
	Number, Of int
	// Offset is how many bytes of the blob have been read so far.
	Offset int64
}

// String is the event in one line.
func (e Event) String() string {
	if e.Layer.Digest == "" {
		return fmt.Sprintf("%s: %s", e.Reference, e.Kind)
	}
	return fmt.Sprintf("%s: layer %d/%d %s: %s, %d of %d bytes", e.Reference, e.Number, e.Of, e.Layer.Digest, e.Kind, e.Offset, e.Layer.Size)
}
