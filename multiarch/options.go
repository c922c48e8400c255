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

// errTwice says that two images of an index are for the same platform, so that
// nobody could choose the second.
var errTwice = errkind.New(errkind.Usage, "two images for one platform")

// Member is one image, or an index of images, that goes into the index.
type Member struct {
	Ref registry.Reference
	// Platform says what the image runs on: what is not "" in it overrules its
	// config.
	Platform ocispec.Platform
	// Annotations are added to the entry; a Docker manifest list has none.
	Annotations map[string]string
}

// Options say how an index is made. The zero value makes an OCI index of what it
// is given.
type Options struct {
	// Docker makes a Docker manifest list.
	Docker bool
	// KeepNested lists an index as it is, instead of what it lists.
	KeepNested bool
	// IgnoreMissing leaves out what is not there; that all of it is missing
	// stays an error.
	IgnoreMissing bool
	// Annotations are those of the index.
	Annotations map[string]string
	// Base is an index that is there already, whose entries come first and whose
	// form stays; zero is none.
	Base registry.Reference
	// Remove takes entries out of Base, with their attestations: digests, or
	// platforms such as "linux/arm/v7".
	Remove []string
	// Open opens the members and Base; nil is [registry.Client.Open].
	Open func(context.Context, registry.Reference) (transfer.Origin, error)
}

// Made is an index that was made.
type Made struct {
	Descriptor ocispec.Descriptor
	Raw        []byte
	// Entries are what it lists.
	Entries []ocispec.Descriptor
	// Documents are the manifests that it lists, and at the end itself, to be
	// sent by [transfer.Send].
	Documents []transfer.Document
	// Digests are what the members named, for who wants the same again.
	Digests map[registry.Reference]digest.Digest
	// Missing are the members that were left out.
	Missing []registry.Reference
	// Warnings are what a person should know of it, a line each.
	Warnings []string
}
