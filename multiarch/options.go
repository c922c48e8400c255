// SPDX-License-Identifier: Apache-2.0

package multiarch

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// errTwice says that two images are for the same platform, so that the second could never
// be chosen.
var errTwice = errkind.New(errkind.Usage, "two images for one platform")

// Member is an image, or an index of images, that becomes a part of the index.
type Member struct {
	Ref registry.Reference
	// Platform is the platform of the image. Fields of it that are not "" overrule
	// those of its config. It must be zero for an index of several images.
	Platform ocispec.Platform
	// Annotations are added to the entry. In a Docker manifest list they are left out.
	Annotations map[string]string
}

// Options say how an index is made. The zero value makes an OCI index.
type Options struct {
	// Docker makes a Docker manifest list.
	Docker bool
	// KeepNested adds a member that is an index as one entry, not its entries.
	KeepNested bool
	// IgnoreMissing leaves out members that do not exist. It is still an error if none
	// exists.
	IgnoreMissing bool
	// Annotations are those of the index. With Docker they are an error.
	Annotations map[string]string
	// Base is an existing index whose entries come first and whose form the new index
	// has; zero means none.
	Base registry.Reference
	// Remove lists entries of Base that are left out, with their attestations: by
	// digests, or by platforms such as "linux/arm/v7".
	Remove []string
	// Open opens the members and Base; nil means [registry.Client.Open].
	Open func(context.Context, registry.Reference) (transfer.Origin, error)
}

// Made is an index that was made.
type Made struct {
	Descriptor ocispec.Descriptor
	Raw        []byte
	// Entries are the entries of the index.
	Entries []ocispec.Descriptor
	// Documents has the manifests and indexes in the index, and at the end the index
	// itself, for [transfer.Send].
	Documents []transfer.Document
	// Digests has what each member named, for callers that want the same once more.
	Digests map[registry.Reference]digest.Digest
	// Missing lists the members that were left out.
	Missing []registry.Reference
	// Warnings are what a user should know of the index, one line each.
	Warnings []string
}
