// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
	// Manifests is how many manifests and indexes were sent.
	Manifests int
	// Sent, Mounted and There are how many blobs were sent, mounted from another
	// repository, or in place already.
	Sent, Mounted, There int
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
	blobs []ocispec.Descriptor // of a manifest
	from  *registry.Source     // has the blobs
	index bool
	tags  []string // that it gets; none for its digest only
}

// blob is what documents name, and where it comes from.
type blob struct {
	ocispec.Descriptor
	from *registry.Source
}

// distinct are the blobs of the documents, each once, in their order.
func distinct(docs []document) []blob {
	var all []blob
	seen := map[digest.Digest]bool{}
	for _, d := range docs {
		for _, b := range d.blobs {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				all = append(all, blob{b, d.from})
			}
		}
	}
	return all
}
