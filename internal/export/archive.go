// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// contents reads the documents that the archive gets: indexes, manifests, configs.
func (e *exporter) contents(ctx context.Context) (archive.Contents, error) {
	if !e.options.AllPlatforms {
		return e.chosen(ctx)
	}
	root, raw, err := e.source.Root(ctx)
	if err != nil {
		return archive.Contents{}, err
	}
	e.done.Resolution = source.Resolution{Reference: e.source.Reference(), Root: root, Manifest: root}
	if err := e.admit(ctx); err != nil {
		return archive.Contents{}, err
	}
	if err := e.all(ctx, root, raw); err != nil {
		return archive.Contents{}, fmt.Errorf("export %s: %w", e.source.Reference(), err)
	}
	return e.found, nil
}

// chosen returns the one image for the client's platform.
func (e *exporter) chosen(ctx context.Context) (archive.Contents, error) {
	image, err := e.image(ctx)
	if err != nil {
		return archive.Contents{}, err
	}
	root := e.done.Resolution.Manifest
	root.MediaType = image.Manifest.MediaType
	local, err := e.recompress(ctx, image)
	if err != nil {
		return archive.Contents{}, fmt.Errorf("export %s: %w", e.done.Resolution.Reference, err)
	}
	if local.Manifest != image.Manifest {
		image = local
		root.Digest, root.Size = digest.FromBytes(image.Manifest.Raw), int64(len(image.Manifest.Raw))
	}
	if err := e.tellRefetch(image.Layers); err != nil {
		return archive.Contents{}, fmt.Errorf("export %s: %w", e.done.Resolution.Reference, err)
	}
	e.warnZstd(image.Layers)
	return archive.Contents{Root: root, Images: []archive.Image{{
		Manifest: archive.Document{Descriptor: root, Raw: image.Manifest.Raw},
		Config:   archive.Document{Descriptor: image.Manifest.Config, Raw: image.Config.Raw},
		Layers:   image.Manifest.Layers,
	}}}, nil
}

// image chooses the image and reads its manifest and its config.
func (e *exporter) image(ctx context.Context) (source.Image, error) {
	resolution, err := e.source.Resolve(ctx)
	if err != nil {
		return source.Image{}, err // names the reference
	}
	e.done.Resolution = resolution
	if err := e.admit(ctx); err != nil {
		return source.Image{}, err
	}
	i, err := e.source.Image(ctx, resolution)
	if err != nil {
		return source.Image{}, fmt.Errorf("export %s: %w", resolution.Reference, err)
	}
	e.done.Warnings = append(e.done.Warnings, i.Warnings...)
	return i, nil
}

// admit calls Options.Admit.
func (e *exporter) admit(ctx context.Context) error {
	if e.options.Admit == nil {
		return nil
	}
	return e.options.Admit(ctx, e.done.Resolution)
}

// tellRefetch calls Options.Again with the bytes of the layers that this machine has
// unpacked and that are fetched nevertheless: an archive needs the blobs, which
// nobody has kept.
func (e *exporter) tellRefetch(layers []manifest.Layer) error {
	if e.options.Known == nil || e.options.Again == nil || e.source.Reference().Transport() != registry.Docker {
		return nil
	}
	bytes := int64(0)
	for _, l := range fetch.Distinct(layers) {
		has, err := e.options.Known.HasLayer(l.DiffID)
		if err != nil {
			return err
		}
		if has && !e.here(l.Descriptor) {
			bytes += l.Descriptor.Size
		}
	}
	if bytes > 0 {
		e.options.Again(bytes)
	}
	return nil
}

// here reports whether a blob need not be fetched.
func (e *exporter) here(desc ocispec.Descriptor) bool {
	_, made := e.made[desc.Digest]
	return made || e.source.Has(desc)
}

// warnZstd warns of layers that an old Docker cannot load.
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

// all gathers the document that the reference names and all documents below it.
func (e *exporter) all(ctx context.Context, root ocispec.Descriptor, raw []byte) error {
	e.found.Root = root
	kind, err := manifest.Classify(root.MediaType, raw)
	if err != nil {
		return fmt.Errorf("%s: %w", root.Digest, err)
	}
	if kind != manifest.KindIndex {
		return e.gather(ctx, root, raw)
	}
	index, err := source.Walk(ctx, root, raw, e.source.Manifest, nil)
	if err != nil {
		return err
	}
	for x := range index.Indexes() {
		e.found.Indexes = append(e.found.Indexes, archive.Document{Descriptor: x.Descriptor, Raw: x.Raw})
		e.documentBytes += int64(len(x.Raw))
	}
	for entry := range index.Leaves() {
		raw, err := e.source.Manifest(ctx, entry)
		if err != nil {
			return err
		}
		if err := e.gather(ctx, entry, raw); err != nil {
			return err
		}
	}
	return nil
}

// gather adds a manifest and its config. The documents together may have
// [source.MaxDocuments] bytes.
func (e *exporter) gather(ctx context.Context, desc ocispec.Descriptor, raw []byte) error {
	if _, err := manifest.Classify(desc.MediaType, raw); err != nil {
		return fmt.Errorf("%s: %w", desc.Digest, err)
	}
	m, err := manifest.ParseManifest(raw, desc.MediaType)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if e.documentBytes += int64(len(raw)); e.documentBytes > source.MaxDocuments {
		return &manifest.BudgetError{Max: source.MaxDocuments}
	}
	config, err := e.source.Config(ctx, m.Config)
	if err != nil {
		return err
	}
	e.documentBytes += int64(len(config))
	e.found.Images = append(e.found.Images, archive.Image{
		Manifest: archive.Document{Descriptor: desc, Raw: raw},
		Config:   archive.Document{Descriptor: m.Config, Raw: config},
		Layers:   m.Layers,
	})
	return nil
}

// number numbers the layers, each once, in the order in which they are written, and
// sends for each the event that says whether it will be fetched.
func (e *exporter) number(c archive.Contents) {
	e.layers = map[digest.Digest]fetch.Layer{}
	for _, i := range c.Images {
		for _, l := range i.Layers {
			if _, known := e.layers[l.Digest]; !known {
				e.layers[l.Digest] = fetch.Layer{Layer: manifest.Layer{Descriptor: l}, Number: len(e.layers) + 1}
			}
		}
	}
	for dgst, l := range e.layers {
		l.Of = len(e.layers)
		e.layers[dgst] = l
		kind := progress.LayerMissing
		if e.here(l.Descriptor) {
			kind = progress.LayerPresent
		}
		e.fetch.Tell(l.Event(kind))
	}
}

// Blob implements [archive.Blobs].
func (e *exporter) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	here := e.here(desc)
	blob, err := e.blob(ctx, desc)
	if err != nil || here {
		return blob, err
	}
	return newExportedBlob(blob, e.layers[desc.Digest], e.fetch), nil
}

// blob opens a layer that was compressed again, or else a blob of the source.
func (e *exporter) blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if file, made := e.made[desc.Digest]; made {
		return io.NopCloser(io.NewSectionReader(file, 0, desc.Size)), nil
	}
	return e.source.Blob(ctx, desc)
}

// exportedBlob sends events that say how far it was read, and that it was read to
// its end.
type exportedBlob struct {
	io.ReadCloser
	event progress.Event
	fetch *fetch.Fetcher
}

func newExportedBlob(blob io.ReadCloser, l fetch.Layer, f *fetch.Fetcher) *exportedBlob {
	e := l.Event(progress.LayerProgress)
	f.Tell(e)
	return &exportedBlob{blob, e, f}
}

// Read implements io.Reader.
func (b *exportedBlob) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.event.Offset += int64(n)
		b.fetch.Tell(b.event)
	}
	return n, err
}

// Close implements io.Closer.
func (b *exportedBlob) Close() error {
	if b.event.Offset == b.event.Layer.Size {
		b.event.Kind = progress.LayerDone
		b.fetch.Tell(b.event)
	}
	return b.ReadCloser.Close()
}
