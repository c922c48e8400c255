// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"encoding/json"
	"errors"
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

// containerdName is what Docker and containerd call an entry of index.json
// beside the name of the specification.
const containerdName = "io.containerd.image.name"

// Layout is an OCI image layout as
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
// has it.
type Layout struct {
	name  Name
	files files
}

// OpenLayout opens a layout in a directory.
func OpenLayout(name Name) (*Layout, error) {
	return newLayout(name, directory(name.Path))
}

// OpenArchive opens a layout in a tar file.
func OpenArchive(ctx context.Context, name Name) (*Layout, error) {
	a, err := openArchive(ctx, name.Path)
	if err != nil {
		return nil, err
	}
	return newLayout(name, a)
}

// newLayout takes over the files, which it closes if they are no layout.
func newLayout(name Name, f files) (*Layout, error) {
	l := &Layout{name, f}
	if err := l.checkVersion(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return l, nil
}

// Close releases the files.
func (l *Layout) Close() error { return l.files.close() }

func (l *Layout) checkVersion() error {
	raw, err := readFile(l.files, ocispec.ImageLayoutFile, content.MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		if _, serr := os.Stat(l.name.Path); serr != nil {
			return failure.Mark(failure.NotFound, serr)
		}
		return failure.New(failure.Malformed, "%s is no OCI image layout: it has no %s", l.name.Path, ocispec.ImageLayoutFile)
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

// Resolve says what the name stands for.
func (l *Layout) Resolve(ctx context.Context) (ocispec.Descriptor, error) {
	desc, _, err := l.find(ctx)
	return desc, err
}

// Root reads what the name stands for.
func (l *Layout) Root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, raw, err := l.find(ctx)
	if err != nil || raw != nil {
		return desc, raw, err
	}
	raw, err = l.Manifest(ctx, desc)
	return desc, raw, err
}

// find looks the reference up in index.json. raw is index.json itself where
// that is what the reference names.
func (l *Layout) find(ctx context.Context) (desc ocispec.Descriptor, raw []byte, err error) {
	if err := ctx.Err(); err != nil {
		return desc, nil, err
	}
	raw, err = readFile(l.files, ocispec.ImageIndexFile, content.MaxManifest)
	if err != nil {
		return desc, nil, l.missing(ocispec.ImageIndexFile, err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return desc, nil, failure.New(failure.Malformed, "%s: %w", ocispec.ImageIndexFile, err)
	}
	switch {
	case l.name.Digest != "":
		desc, err = l.byDigest(index)
	case l.name.Tag != "":
		desc, err = byTag(index, l.name.Tag)
	case len(index.Manifests) > 1 && unnamed(index):
		d := digest.FromBytes(raw)
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d, Size: int64(len(raw))}, raw, nil
	default:
		desc, err = only(index)
	}
	if err == nil {
		err = content.Check(desc, content.MaxManifest)
	}
	return desc, nil, err
}

// byDigest finds the blob of an index or a manifest, which index.json need not
// list: it may lie in an index that it does.
func (l *Layout) byDigest(index ocispec.Index) (ocispec.Descriptor, error) {
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
	raw, err := io.ReadAll(content.Verify(f, desc, l.name.Path))
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

func byTag(index ocispec.Index, tag string) (ocispec.Descriptor, error) {
	for _, d := range slices.Backward(index.Manifests) {
		if d.Annotations[ocispec.AnnotationRefName] == tag {
			return d, nil
		}
	}
	for _, d := range index.Manifests {
		if name := d.Annotations[containerdName]; name != "" && sameName(name, tag) {
			return d, nil
		}
	}
	return ocispec.Descriptor{}, failure.New(failure.NotFound, "no tag %q: there %s", tag, tags(index))
}

func only(index ocispec.Index) (ocispec.Descriptor, error) {
	switch len(index.Manifests) {
	case 1:
		return index.Manifests[0], nil
	case 0:
		return ocispec.Descriptor{}, failure.New(failure.NotFound, "the layout is empty")
	}
	return ocispec.Descriptor{}, failure.New(failure.NotFound, "the layout has several images, name one by :TAG or @DIGEST: there %s", tags(index))
}

func unnamed(index ocispec.Index) bool {
	return !slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		return d.Annotations[ocispec.AnnotationRefName] != ""
	})
}

func tags(index ocispec.Index) string {
	var names []string
	for _, d := range index.Manifests {
		if n := d.Annotations[ocispec.AnnotationRefName]; n != "" {
			names = append(names, n)
		}
	}
	return listed(names)
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
	return verifyFile(ctx, f, desc, l.name.Path)
}

func (l *Layout) missing(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return failure.New(failure.NotFound, "%s has no %s", l.name.Path, name)
	}
	return err
}

// blobName is where a layout keeps a blob. The digest was checked.
func blobName(d digest.Digest) string {
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded()
}
