// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/klauspost/pgzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/scratch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// A directory does not say in which order its layer's tar had the entries, nor how
// they were written. So the tar that is made of a layer's journal and files means the
// same as the layer's own but usually has another digest, and the config and the
// manifest that name it change too. A store of tars has the tar itself: there only the
// manifest changes, because it names compressed blobs.

// recompress compresses the layers that the store has and the cache does not have.
// It returns the image that they make together with the other layers.
func (e *exporter) recompress(ctx context.Context, i source.Image) (source.Image, error) {
	if e.options.Store == nil || e.source.Reference().Transport() != registry.Docker {
		return i, nil
	}
	made := map[digest.Digest]manifest.Layer{} // by the layer's diffID in i
	layers := make([]manifest.Layer, len(i.Layers))
	for n, l := range i.Layers {
		if layers[n] = l; e.source.Has(l.Descriptor) {
			continue
		}
		if _, known := made[l.DiffID]; !known {
			blob, err := e.compressed(ctx, i, l.DiffID)
			if errors.Is(err, overlaystore.ErrNotFound) {
				continue // the registry may have it
			}
			if err != nil {
				return source.Image{}, fmt.Errorf("compress layer %s again: %w", l.DiffID, err)
			}
			made[l.DiffID] = blob
		}
		layers[n] = made[l.DiffID]
	}
	if len(made) == 0 {
		return i, nil
	}
	e.warn("%d of %d layers were compressed again from the store: digests are not those that the registry has", len(made), len(i.Layers))
	return composed(i, layers)
}

// compressed makes the blob of one layer, in a file without a name on the store's
// filesystem, where layers have space.
func (e *exporter) compressed(ctx context.Context, i source.Image, diffID digest.Digest) (_ manifest.Layer, err error) {
	dir, err := e.options.Store.OpenLayer(diffID)
	if err != nil {
		return manifest.Layer{}, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	file, err := scratch.Open(e.options.Store.Path())
	if err != nil {
		return manifest.Layer{}, err
	}
	blob, plain := digest.SHA256.Digester(), digest.SHA256.Digester()
	z := pgzip.NewWriter(io.MultiWriter(&scratch.Keeping{File: file, Reserve: e.options.Limits.Reserve}, blob.Hash()))
	err = errors.Join(e.writeTar(ctx, io.MultiWriter(z, plain.Hash()), diffID, dir), z.Close())
	size, serr := file.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, serr); err != nil {
		return manifest.Layer{}, errors.Join(err, file.Close())
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: blob.Digest(), Size: size}
	if i.Manifest.MediaType == manifest.DockerManifest {
		desc.MediaType = manifest.DockerLayerGzip
	}
	e.made[desc.Digest] = file
	return manifest.Layer{Descriptor: desc, DiffID: plain.Digest()}, nil
}

// writeTar writes a layer's tar: from a store of tars the very bytes, verified by the
// diffID; from a store of directories a tar with the same meaning.
func (e *exporter) writeTar(ctx context.Context, w io.Writer, diffID digest.Digest, dir *overlaystore.LayerDir) (err error) {
	if e.options.Store.Format().Lower != layer.Tars {
		l, err := stored.Layer(ctx, stackview.NewStack(stackview.Options{Memory: e.options.Memory}), e.options.Store, diffID)
		if err != nil {
			return err
		}
		return WriteLayer(ctx, archive.NewTreeWriter(w, archive.TreeOptions{}), l, stored.Files{LayerDir: dir})
	}
	rec, err := e.options.Store.Layer(diffID)
	if err != nil {
		return err
	}
	tar, err := dir.Tar(rec.Size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tar.Close()) }()
	sum := digest.SHA256.Digester()
	_, err = io.Copy(io.MultiWriter(w, sum.Hash()), untilDone{ctx, tar})
	if err == nil && sum.Digest() != diffID {
		err = fmt.Errorf("%w: its tar is %s", overlaystore.ErrDamaged, sum.Digest())
	}
	return err
}

// untilDone reads until ctx is done.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (r untilDone) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// WriteLayer writes one layer as a tar, and closes w. The whiteout of a path that the
// layer replaces comes before the path. An implied directory gets no entry.
func WriteLayer(ctx context.Context, w *archive.TreeWriter, l *stackview.Layer, from Contents) error {
	for f := range l.All() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeChange(w, f, from); err != nil {
			return err
		}
	}
	return w.Close()
}

func writeChange(w *archive.TreeWriter, f stackview.File, from Contents) error {
	if f.Type == layer.Whiteout || f.Opaque == layer.Replaced && f.Path != "." {
		if err := mark(w, path.Join(path.Dir(f.Path), layer.WhiteoutPrefix+path.Base(f.Path))); err != nil || f.Type == layer.Whiteout {
			return err
		}
	}
	if !f.Implied {
		if err := writePath(w, f, from); err != nil {
			return err
		}
	}
	// If the directory has no entry, the mark makes it exist.
	if f.Opaque == layer.Marked || f.Opaque == layer.Replaced && (f.Implied || f.Path == ".") {
		return mark(w, path.Join(f.Path, layer.OpaqueName))
	}
	return nil
}

func mark(w *archive.TreeWriter, name string) error {
	return w.Write(layer.Entry{Path: name, Type: layer.Regular}, eof{})
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// composed returns the image with other layers.
func composed(i source.Image, layers []manifest.Layer) (source.Image, error) {
	made := source.Image{Config: i.Config, Layers: layers, Warnings: i.Warnings}
	config := i.Manifest.Config
	if !slices.Equal(made.DiffIDs(), i.DiffIDs()) {
		var err error
		if made.Config, err = withLayers(i.Config, made.DiffIDs()); err != nil {
			return source.Image{}, err
		}
		config.Digest, config.Size = digest.FromBytes(made.Config.Raw), int64(len(made.Config.Raw))
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: i.Manifest.MediaType,
		Config: config, Annotations: i.Manifest.Annotations,
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.Descriptor)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return source.Image{}, err
	}
	made.Manifest, err = manifest.ParseImage(raw, m.MediaType)
	return made, err
}

// withLayers returns the config with other diffIDs. All other members stay as they
// are, also unknown ones.
func withLayers(config *manifest.Config, diffIDs []digest.Digest) (*manifest.Config, error) {
	var members map[string]json.RawMessage
	err := json.Unmarshal(config.Raw, &members)
	if err == nil {
		members["rootfs"], err = json.Marshal(ocispec.RootFS{Type: "layers", DiffIDs: diffIDs})
	}
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return manifest.ParseConfig(raw)
}
