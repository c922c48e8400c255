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

// defaultJobs is how many blobs are copied at once.
const defaultJobs = 3

// Options say what is copied. The zero value copies all that a reference names.
type Options struct {
	// Platforms lists the platforms for which images are copied from an index, such as
	// "linux/arm/v7"; none means all. With one platform the copy is a single image. With
	// several it is a new index, of another digest, with these images and their
	// attestations.
	Platforms []string
	// Referrers also copies what refers to the images: signatures, SBOMs and
	// attestations, found by the referrers API or its fallback tag, and cosign's tags.
	Referrers bool
	// Form converts the images to the form of OCI or of Docker. Media types change, and
	// with them the digests of manifests and indexes; configs and layers stay the same.
	Form manifest.Form
	// Compress is the compression that layers get; Uncompressed leaves them as they are.
	// A layer with another one is unpacked while it comes, compared with its diffID, and
	// packed into a file without a name in $TMPDIR, which is kept until the layer was
	// sent: its digest has to be known before that.
	Compress manifest.Compression
	// Open opens a reference to copy from; nil means [registry.Client.Open].
	Open func(context.Context, registry.Reference) (Origin, error)
	// DryRun sends nothing. Done says what would be sent.
	DryRun bool
	// Jobs is how many blobs are copied at once; 0 means three.
	Jobs int
	// Progress is called with each step, from several goroutines at once, and must not
	// block for long; nil is not called.
	Progress func(progress.Event)
}

// Done is what was copied, or with Options.DryRun would be.
type Done struct {
	Source, Destination registry.Reference
	// Root describes the copy.
	Root ocispec.Descriptor
	// Was describes what the source names, if the copy was converted and has another
	// digest; else it is zero.
	Was ocispec.Descriptor
	// Manifests is how many manifests and indexes were sent.
	Manifests int
	// Sent, Mounted and Present are how many blobs were sent, were mounted from another
	// repository, and were there before.
	Sent, Mounted, Present int
	// Bytes is the size of the blobs that were sent.
	Bytes int64
	// Referrers is how many manifests were copied for [Options].Referrers.
	Referrers int
	// Warnings are what a user should know of the copy, one line each.
	Warnings []string
}

// document is an index or a manifest that is copied.
type document struct {
	desc  ocispec.Descriptor
	raw   []byte
	blobs []blob // of a manifest: its config, and then its layers
	index bool
	tags  []string // the tags that it gets; without any, only its digest names it
}

// Origin is an image that was opened to be copied: a [*registry.Source], or another reader
// with the same promises. Its methods may be called concurrently.
type Origin interface {
	// Reference returns where the image is: its blobs may be mounted in other
	// repositories of the same registry.
	Reference() registry.Reference
	Describe(ctx context.Context) (ocispec.Descriptor, error)
	Root(ctx context.Context) (ocispec.Descriptor, []byte, error)
	Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	Close() error
}

// blobs is where layers and configs come from.
type blobs interface {
	Reference() registry.Reference
	Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// blob is a layer or a config, and where it comes from.
type blob struct {
	ocispec.Descriptor
	from blobs
}

// distinct returns the blobs of the documents, each once, in their order.
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
