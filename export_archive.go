// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/manifest"
)

// contents reads all that goes into the archive but the layers.
func (e *exporter) contents(ctx context.Context) (archive.Contents, error) {
	if !e.options.AllPlatforms {
		return e.chosen(ctx)
	}
	root, raw, err := e.source.Root(ctx)
	if err != nil {
		return archive.Contents{}, err
	}
	e.done.Resolution = Resolution{Reference: e.source.Reference(), Root: root, Manifest: root}
	all := gathering{exporter: e, found: archive.Contents{Root: root}}
	if err := all.document(ctx, root, raw, 0); err != nil {
		return archive.Contents{}, fmt.Errorf("export %s: %w", e.source.Reference(), err)
	}
	return all.found, nil
}

// chosen is the one image for the client's platform.
func (e *exporter) chosen(ctx context.Context) (archive.Contents, error) {
	image, err := e.image(ctx)
	if err != nil {
		return archive.Contents{}, err
	}
	root := e.done.Manifest
	root.MediaType = image.manifest.MediaType
	again, err := e.again(ctx, image)
	if err != nil {
		return archive.Contents{}, fmt.Errorf("export %s: %w", e.done.Reference, err)
	}
	if again.manifest != image.manifest {
		image = again
		root.Digest, root.Size = digest.FromBytes(image.manifest.Raw), int64(len(image.manifest.Raw))
	}
	e.warnZstd(image.layers)
	return archive.Contents{Root: root, Images: []archive.Image{{
		Manifest: archive.Document{Descriptor: root, Raw: image.manifest.Raw},
		Config:   archive.Document{Descriptor: image.manifest.Config, Raw: image.config.Raw},
		Layers:   image.manifest.Layers,
	}}}, nil
}

// image chooses the image and reads what says how it is made.
func (e *exporter) image(ctx context.Context) (image, error) {
	resolution, err := e.client.resolve(ctx, e.source)
	if err != nil {
		return image{}, err // names the reference
	}
	e.done.Resolution = resolution
	i, err := e.client.image(ctx, e.source, resolution)
	if err != nil {
		return image{}, fmt.Errorf("export %s: %w", resolution.Reference, err)
	}
	e.done.Warnings = append(e.done.Warnings, i.warnings...)
	return i, nil
}

// warnZstd tells of layers that Docker did not always know.
func (e *exporter) warnZstd(layers []manifest.Layer) {
	if e.options.Format != DockerArchive {
		return
	}
	n := 0
	for _, l := range layers {
		if l.Compression() == manifest.Zstd {
			n++
		}
	}
	if n > 0 {
		e.warn("%d of %d layers are compressed by zstd, which Docker before 23.0 does not load", n, len(layers))
	}
}

// gathering reads an index and all below it.
type gathering struct {
	*exporter
	found  archive.Contents
	listed int   // entries so far, in all indexes
	held   int64 // bytes of documents so far
}

// document takes an index or a manifest that lies in so many indexes.
func (g *gathering) document(ctx context.Context, desc ocispec.Descriptor, raw []byte, depth int) error {
	kind, err := manifest.Classify(desc.MediaType, raw)
	if err != nil {
		return fmt.Errorf("%s: %w", desc.Digest, err)
	}
	if g.held += int64(len(raw)); g.held > maxInspected {
		return fmt.Errorf("%w: more than %d bytes of manifests and configs", manifest.ErrMalformed, maxInspected)
	}
	if kind == manifest.KindIndex {
		return g.index(ctx, desc, raw, depth)
	}
	m, err := manifest.ParseManifest(raw, desc.MediaType)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	config, err := g.source.Config(ctx, m.Config)
	if err != nil {
		return err
	}
	g.held += int64(len(config))
	g.found.Images = append(g.found.Images, archive.Image{
		Manifest: archive.Document{Descriptor: desc, Raw: raw},
		Config:   archive.Document{Descriptor: m.Config, Raw: config},
		Layers:   m.Layers,
	})
	return nil
}

func (g *gathering) index(ctx context.Context, desc ocispec.Descriptor, raw []byte, depth int) error {
	if depth == manifest.MaxIndexDepth {
		return fmt.Errorf("index %s: %w: indexes nest deeper than %d", desc.Digest, manifest.ErrMalformed, depth)
	}
	index, err := manifest.ParseIndex(raw, desc.MediaType)
	if err != nil {
		return fmt.Errorf("index %s: %w", desc.Digest, err)
	}
	if g.listed += len(index.Manifests); g.listed > manifest.MaxEntries {
		return fmt.Errorf("index %s: %w: more than %d entries", desc.Digest, manifest.ErrMalformed, manifest.MaxEntries)
	}
	g.found.Indexes = append(g.found.Indexes, archive.Document{Descriptor: desc, Raw: raw})
	for _, entry := range index.Manifests {
		below, err := g.source.Manifest(ctx, entry)
		if err == nil {
			err = g.document(ctx, entry, below, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// number counts the layers, each once, in the order in which they are written.
func (e *exporter) number(c archive.Contents) {
	e.layers = map[digest.Digest]numbered{}
	for _, i := range c.Images {
		for _, l := range i.Layers {
			if _, known := e.layers[l.Digest]; !known {
				e.layers[l.Digest] = numbered{Layer: manifest.Layer{Descriptor: l}, number: len(e.layers) + 1}
			}
		}
	}
	for dgst, l := range e.layers {
		l.of = len(e.layers)
		e.layers[dgst] = l
		e.tell(l.event(LayerMissing))
	}
}

func (e *exporter) tell(event Event) {
	if e.options.Progress != nil {
		e.options.Progress(event)
	}
}

// Blob implements [archive.Blobs].
func (e *exporter) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	blob, err := e.blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	return newExportedBlob(blob, e.layers[desc.Digest], e.tell), nil
}

func (e *exporter) blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	file, made := e.made[desc.Digest]
	if !made {
		return e.source.Blob(ctx, desc)
	}
	_, err := file.Seek(0, io.SeekStart)
	return io.NopCloser(file), err
}

// exportedBlob tells how far it has been read, and that it was read to its end.
type exportedBlob struct {
	counting
	blob io.Closer
	done func()
}

func newExportedBlob(blob io.ReadCloser, l numbered, tell func(Event)) *exportedBlob {
	e := l.event(LayerProgress)
	tell(e)
	b := &exportedBlob{counting: counting{r: blob, high: new(int64)}, blob: blob}
	b.report = func(n int64) { e.Offset = n; tell(e) }
	b.done = func() {
		if e.Offset == l.Descriptor.Size {
			e.Kind = LayerDone
			tell(e)
		}
	}
	return b
}

// Close implements io.Closer.
func (b *exportedBlob) Close() error {
	b.done()
	return b.blob.Close()
}
