// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// containerdName is the annotation of Docker and containerd for the full name of an
// entry of index.json.
const containerdName = "io.containerd.image.name"

// Layout reads an OCI image layout, see
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
type Layout struct {
	name  Name
	files files
}

// OpenLayout opens a layout in a directory.
func OpenLayout(name Name) (*Layout, error) {
	return newLayout(name, directory(name.Path))
}

// newLayout returns a layout of the files, which it closes if they are no layout.
func newLayout(name Name, f files) (*Layout, error) {
	l := &Layout{name, f}
	if err := l.checkVersion(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return l, nil
}

// Close closes the files.
func (l *Layout) Close() error { return l.files.close() }

// checkVersion refuses what has no file oci-layout of version 1.
func (l *Layout) checkVersion() error {
	raw, err := readFile(l.files, ocispec.ImageLayoutFile, content.MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		if _, serr := os.Stat(l.name.Path); serr != nil && l.name.Path != Stdin {
			return failure.Mark(failure.NotFound, serr)
		}
		return l.noLayout()
	}
	if err != nil {
		return err
	}
	var v ocispec.ImageLayout
	if err := json.Unmarshal(raw, &v); err != nil {
		return failure.New(failure.Malformed, "%s: %w", ocispec.ImageLayoutFile, err)
	}
	if !strings.HasPrefix(v.Version, "1.") {
		return failure.New(failure.Malformed, "%s: version %q, not 1", ocispec.ImageLayoutFile, v.Version)
	}
	return nil
}

// noLayout makes the error of files without oci-layout. It says so if they are a docker
// archive.
func (l *Layout) noLayout() error {
	instead := ""
	if f, err := l.files.open(dockerManifest); err == nil {
		_ = f.Close() // nothing was read
		instead = ", but what 'docker save' writes: docker-archive: reads that"
	}
	return failure.New(failure.Malformed, "%s is no OCI image layout: it has no %s%s", l.name.file(), ocispec.ImageLayoutFile, instead)
}

// Describe returns the descriptor of what the name means.
func (l *Layout) Describe(ctx context.Context) (ocispec.Descriptor, error) {
	desc, _, err := l.find(ctx)
	return desc, err
}

// Root reads the index or manifest that the name means.
func (l *Layout) Root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, raw, err := l.find(ctx)
	if err != nil || raw != nil {
		return desc, raw, err
	}
	raw, err = l.Manifest(ctx, desc)
	return desc, raw, err
}

// topIndex is the part of index.json that is used.
type topIndex struct {
	Manifests list[ocispec.Descriptor] `json:"manifests"`
}

// find looks the name up in index.json. raw is the content of index.json if that itself
// is what the name means, else nil.
func (l *Layout) find(ctx context.Context) (desc ocispec.Descriptor, raw []byte, err error) {
	if err := ctx.Err(); err != nil {
		return desc, nil, err
	}
	index, raw, err := l.readIndex()
	if err != nil {
		return desc, nil, err
	}
	images := imagesOf(index)
	switch {
	case l.name.Digest != "":
		desc, err = l.byDigest(index)
	case l.name.Tag == "" && isIndex(index, images):
		d := digest.FromBytes(raw)
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d, Size: int64(len(raw))}, raw, nil
	default:
		var i int
		if i, err = choose(images, l.name.Tag); err == nil {
			desc = index.Manifests[i]
		}
	}
	if err == nil {
		err = content.Check(desc, content.MaxManifest)
	}
	return desc, nil, err
}

// readIndex reads index.json.
func (l *Layout) readIndex() (index topIndex, raw []byte, err error) {
	raw, err = readFile(l.files, ocispec.ImageIndexFile, content.MaxManifest)
	if err != nil {
		return index, nil, l.missing(ocispec.ImageIndexFile, err)
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return index, nil, failure.New(failure.Malformed, "%s: %w", ocispec.ImageIndexFile, err)
	}
	return index, raw, nil
}

// imagesOf describes the entries for [choose]. An entry may have two names: the full one
// of Docker and containerd, and that of the specification.
func imagesOf(index topIndex) []image {
	images := make([]image, len(index.Manifests))
	for i, d := range index.Manifests {
		im := image{id: string(d.Digest), digest: func() string { return string(d.Digest) }}
		for _, key := range []string{containerdName, ocispec.AnnotationRefName} {
			if n := d.Annotations[key]; n != "" && !slices.Contains(im.names, n) {
				im.names = append(im.names, n)
			}
		}
		images[i] = im
	}
	return images
}

// isIndex reports whether index.json itself is one image for several platforms: it has
// two entries or more, all without a name, and no two of them have the same platform or
// lack one. Entries for the platform unknown, which are attestations, are not compared.
func isIndex(index topIndex, images []image) bool {
	if len(images) < 2 {
		return false
	}
	seen := map[string]bool{}
	for i, d := range index.Manifests {
		if len(images[i].names) > 0 {
			return false
		}
		if d.Platform != nil && d.Platform.OS == "unknown" {
			continue
		}
		p := ""
		if d.Platform != nil {
			p = fmt.Sprintf("%+v", *d.Platform)
		}
		if seen[p] {
			return false
		}
		seen[p] = true
	}
	return true
}

// byDigest describes the index or manifest with the name's digest. index.json need not
// list it, for it may be listed in another index; then its blob is read.
func (l *Layout) byDigest(index topIndex) (ocispec.Descriptor, error) {
	for _, d := range index.Manifests {
		if d.Digest == l.name.Digest {
			return d, nil
		}
	}
	f, err := l.files.open(blobName(l.name.Digest))
	if err != nil {
		return ocispec.Descriptor{}, l.missing(l.name.Digest.String(), err)
	}
	defer f.Close()
	desc := ocispec.Descriptor{Digest: l.name.Digest, Size: f.size}
	if err := content.Check(desc, content.MaxManifest); err != nil {
		return desc, err
	}
	raw, err := io.ReadAll(content.Verify(f, desc, l.name.file()))
	if err != nil {
		return desc, err
	}
	var said struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return desc, failure.New(failure.Malformed, "%s is no manifest: %w", desc.Digest, err)
	}
	desc.MediaType = said.MediaType
	return desc, nil
}

// Manifest reads an index or a manifest.
func (l *Layout) Manifest(ctx context.Context, desc ocispec.Descriptor) (raw []byte, err error) {
	b, err := l.Blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, b)
	return io.ReadAll(b)
}

// Blob opens a blob.
func (l *Layout) Blob(ctx context.Context, desc ocispec.Descriptor) (*content.Reader, error) {
	if err := content.Check(desc, 0); err != nil {
		return nil, err
	}
	f, err := l.files.open(blobName(desc.Digest))
	if err != nil {
		return nil, l.missing(desc.Digest.String(), err)
	}
	return verifyFile(ctx, f, desc, l.name.file())
}

// missing makes the error of a file that cannot be opened: [failure.NotFound] if it does
// not exist.
func (l *Layout) missing(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return failure.New(failure.NotFound, "%s has no %s", l.name.file(), name)
	}
	return err
}

// blobName returns the name of a blob's file in a layout. The digest must be checked.
func blobName(d digest.Digest) string {
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded()
}
