// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	_ "crypto/sha256" // go-digest finds its algorithms by these imports
	_ "crypto/sha512"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layout is an OCI image layout under construction.
type Layout struct {
	Dir string
	// Algorithm names the blobs that are added from now on; "" is sha256.
	Algorithm digest.Algorithm
	index     ocispec.Index
}

// NewLayout starts an OCI image layout in dir, which is made.
func NewLayout(dir string) *Layout {
	must(os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755))
	must(os.WriteFile(filepath.Join(dir, ocispec.ImageLayoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	l := &Layout{Dir: dir, index: ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}}
	l.write()
	return l
}

// Blob stores b and describes it.
func (l *Layout) Blob(mediaType string, b []byte) ocispec.Descriptor {
	algorithm := l.Algorithm
	if algorithm == "" {
		algorithm = digest.SHA256
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: algorithm.FromBytes(b), Size: int64(len(b))}
	must(os.MkdirAll(filepath.Dir(l.Path(d.Digest)), 0o755))
	must(os.WriteFile(l.Path(d.Digest), b, 0o644))
	return d
}

// Path is the file that holds the blob.
func (l *Layout) Path(d digest.Digest) string {
	return filepath.Join(l.Dir, "blobs", d.Algorithm().String(), d.Encoded())
}

// Image stores an image of gzip layers, the lowest first, given as tar
// streams, with its config and manifest, and describes the manifest.
func (l *Layout) Image(p ocispec.Platform, layers ...[]byte) ocispec.Descriptor {
	config := ocispec.Image{Platform: p, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}}
	config.Config.Cmd = []string{"/bin/sh"}
	var descs []ocispec.Descriptor
	for _, t := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(t))
		descs = append(descs, l.Blob(ocispec.MediaTypeImageLayerGzip, Gzip(t)))
	}
	return l.Manifest(config, descs...)
}

// Manifest stores an image manifest over config and layers that are already
// described, and describes it.
func (l *Layout) Manifest(config ocispec.Image, layers ...ocispec.Descriptor) ocispec.Descriptor {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    l.Blob(ocispec.MediaTypeImageConfig, JSON(config)),
		Layers:    layers,
	}
	d := l.Blob(ocispec.MediaTypeImageManifest, JSON(m))
	p := config.Platform
	d.Platform = &p
	return d
}

// Index stores an index over the manifests and describes it.
func (l *Layout) Index(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	return l.Blob(ocispec.MediaTypeImageIndex, JSON(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: manifests,
	}))
}

// Tag gives desc a name in the layout's index.json.
func (l *Layout) Tag(desc ocispec.Descriptor, name string) {
	desc.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	l.Add(desc)
}

// Add puts desc into the layout's index.json as it is.
func (l *Layout) Add(desc ocispec.Descriptor) {
	l.index.Manifests = append(l.index.Manifests, desc)
	l.write()
}

func (l *Layout) write() {
	must(os.WriteFile(filepath.Join(l.Dir, ocispec.ImageIndexFile), JSON(l.index), 0o644))
}

// JSON encodes v, which can be encoded.
func JSON(v any) []byte {
	b, err := json.Marshal(v)
	must(err)
	return b
}
