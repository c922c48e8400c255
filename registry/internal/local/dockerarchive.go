// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
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

// DockerArchive is what "docker save" writes. It has no image manifest, so one
// is made: an OCI manifest over the same config and layers, always the same
// for the same archive.
type DockerArchive struct {
	name  Name
	files files
	names map[digest.Digest]string // where in the archive a blob is
	desc  ocispec.Descriptor
	raw   []byte
}

// OpenDockerArchive opens an archive and makes the manifest of the image that
// the name stands for.
func OpenDockerArchive(ctx context.Context, name Name) (*DockerArchive, error) {
	a, err := openArchive(ctx, name.Path)
	if err != nil {
		return nil, err
	}
	d := &DockerArchive{name: name, files: a, names: map[digest.Digest]string{}}
	if err := d.compose(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return d, nil
}

// compose makes the manifest.
func (d *DockerArchive) compose(ctx context.Context) error {
	image, err := d.choose()
	if err != nil {
		return err
	}
	raw, err := readFile(d.files, image.Config, content.MaxConfig)
	if err != nil {
		return d.broken(image.Config, err)
	}
	var config struct {
		RootFS ocispec.RootFS `json:"rootfs"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return failure.New(failure.Malformed, "config %s: %w", failure.OneLine(image.Config), err)
	}
	if len(config.RootFS.DiffIDs) != len(image.Layers) {
		return failure.New(failure.Malformed, "config %s has %d diffIDs, manifest.json has %d layers",
			failure.OneLine(image.Config), len(config.RootFS.DiffIDs), len(image.Layers))
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
	return content.Check(d.desc, content.MaxManifest)
}

// choose picks the image that the reference names.
func (d *DockerArchive) choose() (dockerImage, error) {
	raw, err := readFile(d.files, "manifest.json", content.MaxManifest)
	if err != nil {
		return dockerImage{}, d.broken("manifest.json", err)
	}
	var images []dockerImage
	if err := json.Unmarshal(raw, &images); err != nil {
		return dockerImage{}, failure.New(failure.Malformed, "manifest.json: %w", err)
	}
	var names []string
	for _, im := range images {
		names = append(names, im.RepoTags...)
		for _, t := range im.RepoTags {
			if d.name.Tag != "" && (t == d.name.Tag || sameName(t, d.name.Tag) || tagOf(t) == d.name.Tag) {
				return im, nil
			}
		}
	}
	switch {
	case len(images) == 0:
		return dockerImage{}, failure.New(failure.NotFound, "the archive is empty")
	case d.name.Tag != "":
		return dockerImage{}, failure.New(failure.NotFound, "no image %q: there %s", d.name.Tag, listed(names))
	case len(images) > 1:
		return dockerImage{}, failure.New(failure.NotFound, "the archive has several images, name one by :TAG: there %s", listed(names))
	}
	return images[0], nil
}

// layer describes a layer's file. A plain tar is what its diffID says; one
// that is compressed must be read through to learn its digest, unless its
// name says it, as in the archives of today's Docker.
func (d *DockerArchive) layer(ctx context.Context, name string, diffID digest.Digest) (ocispec.Descriptor, error) {
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
		return desc, content.Check(desc, 0)
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

func (d *DockerArchive) sum(ctx context.Context, name string) (digest.Digest, error) {
	f, err := d.files.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.FromReader(&interruptible{f, ctx})
}

func (d *DockerArchive) broken(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return failure.New(failure.Malformed, "%s is no docker archive: it has no %s", d.name.Path, failure.OneLine(name))
	}
	return err
}

// Close releases the archive.
func (d *DockerArchive) Close() error { return d.files.close() }

// Resolve describes the manifest that was made.
func (d *DockerArchive) Resolve(context.Context) (ocispec.Descriptor, error) {
	if d.name.Digest != "" && d.name.Digest != d.desc.Digest {
		return d.desc, failure.New(failure.NotFound, "the archive's image is %s", d.desc.Digest)
	}
	return d.desc, nil
}

// Root is the manifest that was made.
func (d *DockerArchive) Root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, err := d.Resolve(ctx)
	return desc, d.raw, err
}

// Manifest is the manifest that was made, if it is the one that is asked for.
func (d *DockerArchive) Manifest(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Digest != d.desc.Digest {
		return nil, failure.New(failure.NotFound, "%s has no %s", d.name.Path, desc.Digest)
	}
	return d.raw, nil
}

// Blob opens a config or a layer.
func (d *DockerArchive) Blob(ctx context.Context, desc ocispec.Descriptor) (*content.Reader, error) {
	name, ok := d.names[desc.Digest]
	if !ok {
		return nil, failure.New(failure.NotFound, "%s has no %s", d.name.Path, desc.Digest)
	}
	f, err := d.files.open(name)
	if err != nil {
		return nil, err
	}
	return verifyFile(ctx, f, desc, d.name.Path)
}
