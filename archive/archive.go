// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	_ "crypto/sha256" // these imports register the algorithms of go-digest
	_ "crypto/sha512"
	"io"
	"time"

	"github.com/layerctl/layerctl/errkind"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrMismatch says that a blob or a document does not match its descriptor, or a file its
// entry.
var ErrMismatch = errkind.New(errkind.Mismatch, "blob does not match its descriptor")

// Blobs opens the layers of an archive: each once, in the order of the archive. Each is
// read to its end, or to the first error, and closed.
type Blobs interface {
	Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// Document is an index, a manifest or a config, in memory.
type Document struct {
	Descriptor ocispec.Descriptor
	Raw        []byte // exactly the bytes that the descriptor describes
}

// Image is one image of an archive.
type Image struct {
	Manifest, Config Document
	Layers           []ocispec.Descriptor // the lowest first; a repeated one is written once
}

// Options say how an archive is written. In the zero value the image has no name.
type Options struct {
	// Name is the image's name with a tag, such as "docker.io/library/alpine:3.20"; ""
	// means none.
	Name string
	// Tag names the image in index.json for tools that look for a tag; "" means none.
	Tag string
	// ModTime is the time of all entries, cut to whole seconds; zero means the epoch,
	// 1970-01-01.
	ModTime time.Time
}

// Contents is the content of an OCI archive.
type Contents struct {
	// Root is the entry of index.json: the image's manifest, or an index. It is written
	// with its platform, and without its annotations.
	Root ocispec.Descriptor
	// Indexes has Root, if that is an index, and the indexes nested in it, the outermost
	// first.
	Indexes []Document
	// Images has the images, or artifacts, that the indexes list, or the only one.
	Images []Image
}
