// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	_ "crypto/sha256" // go-digest finds its algorithms by these imports
	_ "crypto/sha512"
	"io"
	"time"

	"github.com/layerctl/layerctl/errkind"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrMismatch says that a blob is not what its descriptor says.
var ErrMismatch = errkind.New(errkind.Mismatch, "blob does not match its descriptor")

// Blobs opens blobs. Each is opened once, in the order of the archive, read to
// its end or to the first error, and closed.
type Blobs interface {
	Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// Document is a blob that is in memory: an index, a manifest, a config.
type Document struct {
	Descriptor ocispec.Descriptor
	Raw        []byte // what the descriptor describes, exactly
}

// Image is one image of an archive.
type Image struct {
	Manifest, Config Document
	Layers           []ocispec.Descriptor // the lowest first; a repeated one is written once
}

// Options say how to write an archive. The zero value names nothing.
type Options struct {
	// Name is the image's name with a tag, as "docker.io/library/alpine:3.20";
	// "" for none.
	Name string
	// Tag is what names the image in index.json for tools that look for a tag;
	// "" for none.
	Tag string
	// ModTime is that of every entry, in whole seconds; zero is the epoch.
	ModTime time.Time
}

// Contents are what an OCI archive holds.
type Contents struct {
	// Root is what index.json names: the image's manifest, or an index. It is
	// written with its platform, and without annotations of its own.
	Root ocispec.Descriptor
	// Indexes are the indexes from Root downwards, none for a single image.
	Indexes []Document
	// Images are what they list: images, or whatever else has the form of one.
	Images []Image
}
