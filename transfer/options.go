// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// defaultJobs is how many blobs are on their way at a time.
const defaultJobs = 3

// Options say what is copied. The zero value copies all that a reference names.
type Options struct {
	// Platforms are what images are chosen for from an index, as "linux/arm/v7".
	// One makes the copy a single image; several an index of those, with their
	// attestations, whose digest is another one. None is all.
	Platforms []string
	// Referrers copies what refers to the images too: signatures, SBOMs and
	// attestations, by the referrers API or its fallback tag, and the tags that
	// cosign gives.
	Referrers bool
	// Form makes the images those of OCI or of Docker: media types change, and
	// with them the digests of manifests and indexes; configs and layers stay.
	Form manifest.Form
	// Compress is how layers are to be packed; Uncompressed leaves them as they
	// are. A layer that has to be packed anew is unpacked while it comes, held to
	// its diffID, and kept in a file without a name in $TMPDIR until it was
	// sent, for its digest is what the destination is asked by.
	Compress manifest.Compression
	// Open opens what is copied from; nil is [registry.Client.Open].
	Open func(context.Context, registry.Reference) (Origin, error)
	// DryRun sends nothing, and tells what would be sent.
	DryRun bool
	// Jobs is how many blobs are on their way at a time; 0 means three.
	Jobs int
	// Progress hears of every step, from several goroutines at once, and must
	// not block for long; nil hears nothing.
	Progress func(progress.Event)
}

// Done is what was copied, or would be.
type Done struct {
	Source, Destination registry.Reference
	// Root is what the destination names now.
	Root ocispec.Descriptor
	// Was is what the source names, where the copy has another digest because it
	// was converted; else it has none.
	Was ocispec.Descriptor
	// Manifests is how many manifests and indexes were sent.
	Manifests int
	// Sent, Mounted and Present are how many blobs were sent, mounted from another
	// repository, or in place already.
	Sent, Mounted, Present int
	// Bytes is the size of the blobs that were sent.
	Bytes int64
	// Referrers is how many manifests were copied for [Options].Referrers.
	Referrers int
	// Warnings are what a person should know of it, a line each.
	Warnings []string
}

// document is an index or a manifest that is copied.
type document struct {
	desc  ocispec.Descriptor
	raw   []byte
	blobs []blob // of a manifest, its config first
	index bool
	tags  []string // that it gets; none for its digest only
}

// Origin is an image that was opened, to be copied: a [*registry.Source], or
// what reads one from elsewhere with the same promises. Its methods may be
// called concurrently.
type Origin interface {
	// Reference is where it lies; blobs of one registry can be mounted.
	Reference() registry.Reference
	Describe(ctx context.Context) (ocispec.Descriptor, error)
	Root(ctx context.Context) (ocispec.Descriptor, []byte, error)
	Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	Close() error
}

// blobs are where layers and configs come from.
type blobs interface {
	Reference() registry.Reference
	Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// blob is what documents name, and where it comes from.
type blob struct {
	ocispec.Descriptor
	from blobs
}

// distinct are the blobs of the documents, each once, in their order.
func distinct(docs []document) []blob {
	var all []blob
	seen := map[digest.Digest]bool{}
	for _, d := range docs {
		for _, b := range d.blobs {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				all = append(all, b)
			}
		}
	}
	return all
}
