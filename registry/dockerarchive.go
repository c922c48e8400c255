// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// dockerImage is one image of a docker archive's manifest.json, see
// https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string // lowest first
}

// dockerArchive is what "docker save" writes. It has no image manifest, so one
// is made: an OCI manifest over the same config and layers, always the same
// for the same archive.
type dockerArchive struct {
	ref   Reference
	files files
	names map[digest.Digest]string // where in the archive a blob is
	desc  ocispec.Descriptor
	raw   []byte
}

func openDockerArchive(ctx context.Context, ref Reference) (*dockerArchive, error) {
	a, err := openArchive(ctx, ref.Path())
	if err != nil {
		return nil, err
	}
	d := &dockerArchive{ref: ref, files: a, names: map[digest.Digest]string{}}
	if err := d.compose(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return d, nil
}

// compose makes the manifest.
func (d *dockerArchive) compose(ctx context.Context) error {
	image, err := d.choose()
	if err != nil {
		return err
	}
	raw, err := readFile(d.files, image.Config, MaxConfig)
	if err != nil {
		return d.broken(image.Config, err)
	}
	var config struct {
		RootFS ocispec.RootFS `json:"rootfs"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return as(ErrMalformed, "config %s: %w", oneLine(image.Config), err)
	}
	if len(config.RootFS.DiffIDs) != len(image.Layers) {
		return as(ErrMalformed, "config %s has %d diffIDs, manifest.json has %d layers",
			oneLine(image.Config), len(config.RootFS.DiffIDs), len(image.Layers))
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		Layers:    []ocispec.Descriptor{},
	}
	d.names[m.Config.Digest] = image.Config
	for i, name := range image.Layers {
		layer, err := d.layer(ctx, name, config.RootFS.DiffIDs[i])
		if err != nil {
			return d.broken(name, err)
		}
		d.names[layer.Digest] = name
		m.Layers = append(m.Layers, layer)
	}
	if d.raw, err = json.Marshal(m); err != nil {
		return err
	}
	d.desc = ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(d.raw), Size: int64(len(d.raw))}
	return check(d.desc, MaxManifest)
}

// choose picks the image that the reference names.
func (d *dockerArchive) choose() (dockerImage, error) {
	raw, err := readFile(d.files, "manifest.json", MaxManifest)
	if err != nil {
		return dockerImage{}, d.broken("manifest.json", err)
	}
	var images []dockerImage
	if err := json.Unmarshal(raw, &images); err != nil {
		return dockerImage{}, as(ErrMalformed, "manifest.json: %w", err)
	}
	var names []string
	for _, im := range images {
		names = append(names, im.RepoTags...)
		for _, t := range im.RepoTags {
			if d.ref.tag != "" && (t == d.ref.tag || sameName(t, d.ref.tag) || tagOf(t) == d.ref.tag) {
				return im, nil
			}
		}
	}
	switch {
	case len(images) == 0:
		return dockerImage{}, as(ErrNotFound, "the archive is empty")
	case d.ref.tag != "":
		return dockerImage{}, as(ErrNotFound, "no image %q: there %s", d.ref.tag, listed(names))
	case len(images) > 1:
		return dockerImage{}, as(ErrNotFound, "the archive has several images, name one by :TAG: there %s", listed(names))
	}
	return images[0], nil
}

// tagOf is the tag alone of a Docker reference.
func tagOf(name string) string {
	r, err := parseDocker(name, name)
	if err != nil {
		return ""
	}
	return r.tag
}

// layer describes a layer's file. A plain tar is what its diffID says; one
// that is compressed must be read through to learn its digest, unless its
// name says it, as in the archives of today's Docker.
func (d *dockerArchive) layer(ctx context.Context, name string, diffID digest.Digest) (ocispec.Descriptor, error) {
	f, err := d.files.open(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.Close()
	var magic [4]byte
	n, err := io.ReadFull(f, magic[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID, Size: f.size}
	switch compression(magic[:n]) {
	case "":
		return desc, check(desc, 0)
	case "gzip":
		desc.MediaType = ocispec.MediaTypeImageLayerGzip
	case "zstd":
		desc.MediaType = ocispec.MediaTypeImageLayerZstd
	}
	if desc.Digest = namedDigest(name); desc.Digest == "" {
		desc.Digest, err = d.sum(ctx, name)
	}
	return desc, err
}

// namedDigest is the digest of a file named "blobs/sha256/HEX".
func namedDigest(name string) digest.Digest {
	hex, ok := strings.CutPrefix(name, "blobs/sha256/")
	d := digest.NewDigestFromEncoded(digest.SHA256, hex)
	if !ok || d.Validate() != nil {
		return ""
	}
	return d
}

func (d *dockerArchive) sum(ctx context.Context, name string) (digest.Digest, error) {
	f, err := d.files.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.FromReader(&interruptible{f, ctx})
}

func (d *dockerArchive) broken(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return as(ErrMalformed, "%s is no docker archive: it has no %s", d.ref.Path(), oneLine(name))
	}
	return err
}

func (d *dockerArchive) close() error { return d.files.close() }

func (d *dockerArchive) resolve(context.Context) (ocispec.Descriptor, error) {
	if d.ref.digest != "" && d.ref.digest != d.desc.Digest {
		return d.desc, as(ErrNotFound, "the archive's image is %s", d.desc.Digest)
	}
	return d.desc, nil
}

func (d *dockerArchive) root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, err := d.resolve(ctx)
	return desc, d.raw, err
}

func (d *dockerArchive) manifest(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Digest != d.desc.Digest {
		return nil, as(ErrNotFound, "%s has no %s", d.ref.Path(), desc.Digest)
	}
	return d.raw, nil
}

func (d *dockerArchive) blob(ctx context.Context, desc ocispec.Descriptor) (*verified, error) {
	name, ok := d.names[desc.Digest]
	if !ok {
		return nil, as(ErrNotFound, "%s has no %s", d.ref.Path(), desc.Digest)
	}
	f, err := d.files.open(name)
	if err != nil {
		return nil, err
	}
	return verifyFile(ctx, f, desc, d.ref.Path())
}
