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

// contents reads all that goes into the archive but the layers.
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

// chosen is the one image for the client's platform.
func (e *exporter) chosen(ctx context.Context) (archive.Contents, error) {
	image, err := e.image(ctx)
	if err != nil {
		return archive.Contents{}, err
	}
	root := e.done.Resolution.Manifest
	root.MediaType = image.Manifest.MediaType
	again, err := e.again(ctx, image)
	if err != nil {
		return archive.Contents{}, fmt.Errorf("export %s: %w", e.done.Resolution.Reference, err)
	}
	if again.Manifest != image.Manifest {
		image = again
		root.Digest, root.Size = digest.FromBytes(image.Manifest.Raw), int64(len(image.Manifest.Raw))
	}
	if err := e.tellAgain(image.Layers); err != nil {
		return archive.Contents{}, fmt.Errorf("export %s: %w", e.done.Resolution.Reference, err)
	}
	e.warnZstd(image.Layers)
	return archive.Contents{Root: root, Images: []archive.Image{{
		Manifest: archive.Document{Descriptor: root, Raw: image.Manifest.Raw},
		Config:   archive.Document{Descriptor: image.Manifest.Config, Raw: image.Config.Raw},
		Layers:   image.Manifest.Layers,
	}}}, nil
}

// image chooses the image and reads what says how it is made.
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

// admit asks whoever lets images in.
func (e *exporter) admit(ctx context.Context) error {
	if e.options.Admit == nil {
		return nil
	}
	return e.options.Admit(ctx, e.done.Resolution)
}

// tellAgain tells what is fetched though it is on this machine, unpacked: an
// archive has the layers' own bytes, which nobody has kept.
func (e *exporter) tellAgain(layers []manifest.Layer) error {
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

// here says that a blob need not be fetched.
func (e *exporter) here(desc ocispec.Descriptor) bool {
	_, made := e.made[desc.Digest]
	return made || e.source.Has(desc)
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

// all gathers what the reference names and all below it.
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
		e.held += int64(len(x.Raw))
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

// gather takes a manifest with its config.
func (e *exporter) gather(ctx context.Context, desc ocispec.Descriptor, raw []byte) error {
	if _, err := manifest.Classify(desc.MediaType, raw); err != nil {
		return fmt.Errorf("%s: %w", desc.Digest, err)
	}
	m, err := manifest.ParseManifest(raw, desc.MediaType)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if e.held += int64(len(raw)); e.held > source.MaxDocuments {
		return &manifest.BudgetError{Max: source.MaxDocuments}
	}
	config, err := e.source.Config(ctx, m.Config)
	if err != nil {
		return err
	}
	e.held += int64(len(config))
	e.found.Images = append(e.found.Images, archive.Image{
		Manifest: archive.Document{Descriptor: desc, Raw: raw},
		Config:   archive.Document{Descriptor: m.Config, Raw: config},
		Layers:   m.Layers,
	})
	return nil
}

// number counts the layers, each once, in the order in which they are written.
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
