// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// dockerImage is one image in the manifest.json of a docker archive, see
// https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md
type dockerImage struct {
	Config   string
	RepoTags list[string]
	Layers   list[string] // lowest first
}

// dockerManifest is the file that lists the images of a docker archive.
const dockerManifest = "manifest.json"

const (
	// maxLayers bounds the layers of an image; no mount takes more.
	maxLayers = 500
	// maxConfigs bounds the bytes of all configs that are read to find an image by its
	// digest.
	maxConfigs = 64 << 20
)

// DockerArchive is what "docker save" writes. It has no image manifest, so one is made:
// an OCI manifest of the same config and layers, which is always the same for the same
// archive.
type DockerArchive struct {
	name  Name
	files files
	composed

	layers  map[string]ocispec.Descriptor // what describe returned, by the layer's name
	configs int64                         // how many bytes of configs were read
}

// composed is an image with the manifest that was made for it.
type composed struct {
	desc  ocispec.Descriptor
	raw   []byte
	names map[digest.Digest]string // the names of the blobs in the archive
}

// choose finds the image that the reference means, by its name or by the digest of the
// manifest that is made for it, and makes that manifest.
func (d *DockerArchive) choose(ctx context.Context) error {
	saved, err := d.readManifest()
	if err != nil {
		return err
	}
	images := d.imagesOf(ctx, saved)
	if d.name.Digest != "" && d.name.Tag == "" && len(images) > 1 {
		return d.chooseByDigest(ctx, saved, images)
	}
	i, err := choose(images, d.name.Tag)
	if err != nil {
		return err
	}
	d.composed, err = d.compose(ctx, saved[i])
	return err
}

func (d *DockerArchive) readManifest() (list[dockerImage], error) {
	raw, err := readFile(d.files, dockerManifest, content.MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, d.noArchive()
	}
	if err != nil {
		return nil, err
	}
	var saved list[dockerImage]
	if err := json.Unmarshal(raw, &saved); err != nil {
		return nil, failure.New(failure.Malformed, "%s: %w", dockerManifest, err)
	}
	names := 0
	for _, s := range saved {
		if names += len(s.RepoTags); names > maxListed {
			return nil, failure.New(failure.Malformed, "%s: more than %d names", dockerManifest, maxListed)
		}
	}
	return saved, nil
}

// imagesOf describes the images for [choose] and [listed].
func (d *DockerArchive) imagesOf(ctx context.Context, saved []dockerImage) []image {
	images := make([]image, len(saved))
	for i, s := range saved {
		images[i] = image{
			names: s.RepoTags,
			id:    fmt.Sprintf("%q %q", s.Config, []string(s.Layers)),
			digest: func() string {
				c, err := d.compose(ctx, s)
				if err != nil {
					return "(damaged)"
				}
				return string(c.desc.Digest)
			},
		}
	}
	return images
}

// chooseByDigest makes the manifests of all images until one has the digest.
func (d *DockerArchive) chooseByDigest(ctx context.Context, saved []dockerImage, images []image) error {
	tried := map[string]bool{}
	for i, s := range saved {
		if tried[images[i].id] {
			continue
		}
		tried[images[i].id] = true
		c, err := d.compose(ctx, s)
		if cause := ctx.Err(); cause != nil {
			return cause
		}
		if d.configs > maxConfigs {
			return err
		}
		if err == nil && c.desc.Digest == d.name.Digest { // an image that is damaged is passed over
			d.composed = c
			return nil
		}
	}
	return failure.New(failure.NotFound, "no image %s: there %s", d.name.Digest, listed(images, allOf(images)))
}

// compose makes the manifest of an image.
func (d *DockerArchive) compose(ctx context.Context, image dockerImage) (composed, error) {
	raw, err := readFile(d.files, image.Config, content.MaxConfig)
	if err != nil {
		return composed{}, d.broken(image.Config, err)
	}
	if d.configs += int64(len(raw)); d.configs > maxConfigs {
		return composed{}, failure.New(failure.Malformed, "the configs of the images have more than %d bytes", maxConfigs)
	}
	var config struct {
		RootFS struct {
			DiffIDs list[digest.Digest] `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return composed{}, failure.New(failure.Malformed, "config %s: %w", failure.OneLine(image.Config), err)
	}
	if len(config.RootFS.DiffIDs) != len(image.Layers) {
		return composed{}, failure.New(failure.Malformed, "config %s has %d diffIDs, manifest.json has %d layers",
			failure.OneLine(image.Config), len(config.RootFS.DiffIDs), len(image.Layers))
	}
	if len(image.Layers) > maxLayers {
		return composed{}, failure.New(failure.Malformed, "%d layers, limit %d", len(image.Layers), maxLayers)
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		Layers:    []ocispec.Descriptor{},
	}
	c := composed{names: map[digest.Digest]string{m.Config.Digest: image.Config}}
	for i, name := range image.Layers {
		layer, err := d.layer(ctx, name, config.RootFS.DiffIDs[i])
		if err != nil {
			return composed{}, d.broken(name, err)
		}
		c.names[layer.Digest] = name
		m.Layers = append(m.Layers, layer)
	}
	if c.raw, err = json.Marshal(m); err != nil {
		return composed{}, err
	}
	c.desc = ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(c.raw), Size: int64(len(c.raw))}
	return c, content.Check(c.desc, content.MaxManifest)
}

// layer describes a layer. The digest of one that is not compressed is its diffID.
func (d *DockerArchive) layer(ctx context.Context, name string, diffID digest.Digest) (ocispec.Descriptor, error) {
	desc, known := d.layers[name]
	if !known {
		var err error
		if desc, err = d.describe(ctx, name); err != nil {
			return desc, err
		}
		d.layers[name] = desc // images share layers
	}
	if desc.Digest == "" {
		desc.Digest = diffID
	}
	return desc, content.Check(desc, 0)
}

// describe describes a layer by its file. To learn the digest of a compressed layer it
// reads the whole file, unless the file's name has the digest, as in archives of Docker
// 25 and later. It leaves out the digest of a layer that is not compressed.
func (d *DockerArchive) describe(ctx context.Context, name string) (ocispec.Descriptor, error) {
	f, err := d.files.open(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.Close()
	var start [startSize]byte
	n, err := io.ReadFull(f, start[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Size: f.size}
	c := compressionOf(start[:n])
	switch {
	case c == nil:
		return desc, nil
	case c.name == "gzip":
		desc.MediaType = ocispec.MediaTypeImageLayerGzip
	case c.name == "zstd":
		desc.MediaType = ocispec.MediaTypeImageLayerZstd
	default:
		return desc, failure.New(failure.Malformed, "layer %s is compressed with %s, which no image may use", failure.OneLine(name), c.name)
	}
	if desc.Digest = namedDigest(name); desc.Digest != "" {
		return desc, nil
	}
	desc.Digest, err = d.sum(ctx, name)
	return desc, err
}

// namedDigest returns the digest of a file named "blobs/sha256/HEX"; "" for others.
func namedDigest(name string) digest.Digest {
	algorithm, hex, ok := strings.Cut(strings.TrimPrefix(name, "blobs/"), "/")
	d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
	if !ok || !strings.HasPrefix(name, "blobs/") || content.CheckDigest(d) != nil {
		return ""
	}
	return d
}

// sum computes the digest of a file.
func (d *DockerArchive) sum(ctx context.Context, name string) (digest.Digest, error) {
	f, err := d.files.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.FromReader(&interruptible{f, ctx})
}

// broken makes the error of a file that the archive should have and that cannot be read.
func (d *DockerArchive) broken(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return failure.New(failure.Malformed, "%s is no docker archive: it has no %s", d.name.file(), failure.OneLine(name))
	}
	return err
}

// noArchive makes the error of an archive that has no manifest.json. It says so if the
// archive is an OCI image layout.
func (d *DockerArchive) noArchive() error {
	instead := ""
	if f, err := d.files.open(ocispec.ImageLayoutFile); err == nil {
		_ = f.Close() // nothing was read
		instead = ", but an OCI image layout: oci-archive: reads that"
	}
	return failure.New(failure.Malformed, "%s is no docker archive: it has no %s%s", d.name.file(), dockerManifest, instead)
}

// Close closes the archive.
func (d *DockerArchive) Close() error { return d.files.close() }

// Describe returns the descriptor of the manifest that was made.
func (d *DockerArchive) Describe(context.Context) (ocispec.Descriptor, error) {
	if d.name.Digest != "" && d.name.Digest != d.desc.Digest {
		return d.desc, failure.New(failure.NotFound, "the archive's image is %s", d.desc.Digest)
	}
	return d.desc, nil
}

// Root returns the manifest that was made.
func (d *DockerArchive) Root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, err := d.Describe(ctx)
	return desc, d.raw, err
}

// Manifest returns the manifest that was made, if it has the digest.
func (d *DockerArchive) Manifest(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Digest != d.desc.Digest {
		return nil, failure.New(failure.NotFound, "%s has no %s", d.name.file(), desc.Digest)
	}
	return d.raw, nil
}

// Blob opens a config or a layer.
func (d *DockerArchive) Blob(ctx context.Context, desc ocispec.Descriptor) (*content.Reader, error) {
	name, ok := d.names[desc.Digest]
	if !ok {
		return nil, failure.New(failure.NotFound, "%s has no %s", d.name.file(), desc.Digest)
	}
	f, err := d.files.open(name)
	if err != nil {
		return nil, err
	}
	return verifyFile(ctx, f, desc, d.name.file())
}
