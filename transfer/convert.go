// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

// FormError says that a form has no media type for a layer of the image. It
// matches [errkind.Usage].
type FormError struct {
	Form  manifest.Form
	Type  string // the media type of the layer, or in OCI that of what it should become
	Layer digest.Digest
}

// Error names the layer and its type.
func (e *FormError) Error() string {
	return fmt.Sprintf("an image in the form of %s has no layers of type %q, such as %s would be", e.Form, e.Type, e.Layer)
}

// Unwrap makes it match [errkind.Usage].
func (e *FormError) Unwrap() error { return errkind.Usage }

// conversion converts images to another form, or compresses their layers otherwise.
type conversion struct {
	c      *copier
	packed map[digest.Digest]blob               // the layers that were packed anew, by their old digests
	became map[digest.Digest]ocispec.Descriptor // the documents that changed, by their old digests
	gone   map[digest.Digest]bool               // attestations of digests that changed
	bare   bool                                 // annotations were left out
}

// converts reports whether the options ask for a conversion.
func (c *copier) converts() bool {
	return c.options.Form != manifest.AnyForm || c.options.Compress != manifest.Uncompressed
}

// convert converts the documents. A layer that was packed anew is sent at once, except
// to an archive, which has an order of its own.
func (c *copier) convert(ctx context.Context, docs []document, to registry.Reference) (_ []document, err error) {
	x := &conversion{c: c, packed: map[digest.Digest]blob{}, became: map[digest.Digest]ocispec.Descriptor{}, gone: map[digest.Digest]bool{}}
	images := make([]*manifest.Manifest, len(docs))
	for n, d := range docs {
		if images[n], err = x.image(d); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", d.desc.Digest, err)
		}
	}
	if images[len(docs)-1] == nil && !docs[len(docs)-1].index {
		return nil, errkind.With(errkind.Usage, errors.New("it is no image, and is not converted"))
	}
	if c.options.Compress != manifest.Uncompressed {
		if c.target == nil && to.Transport() == registry.OCI {
			if c.target, err = c.open(ctx, to); err != nil {
				return nil, err
			}
		}
		if err := x.pack(ctx, docs, images); err != nil {
			return nil, err
		}
	}
	was := docs[len(docs)-1].desc
	for n, d := range docs {
		if d.index {
			docs[n], err = x.index(d)
		} else if images[n] != nil {
			docs[n], err = x.manifest(d, images[n])
		}
		if err != nil {
			return nil, err
		}
	}
	x.tell(was, docs[len(docs)-1].desc)
	return slices.DeleteFunc(docs, func(d document) bool { return x.gone[d.desc.Digest] }), nil
}

// tell warns of what the new digests mean.
func (x *conversion) tell(was, is ocispec.Descriptor) {
	if len(x.gone) > 0 {
		x.c.warn("%d attestations are about digests that changed, and left out", len(x.gone))
	}
	if x.bare {
		x.c.warn("Docker's manifests have no annotations: they are left out")
	}
	if was.Digest != is.Digest {
		x.c.done.Was = ocispec.Descriptor{MediaType: was.MediaType, Digest: was.Digest, Size: was.Size}
		x.c.warn("the digest is another one, for which no signature of the image holds: it was %s", was.Digest)
	}
}

// image parses the manifest of an image, and refuses one that cannot be converted. It
// returns nil for a document that is no image, which stays as it is.
func (x *conversion) image(d document) (*manifest.Manifest, error) {
	if d.index {
		return nil, nil
	}
	m, err := manifest.ParseManifest(d.raw, d.desc.MediaType)
	if err != nil || m.Artifact() != "" {
		return nil, err
	}
	form := x.form(m.MediaType)
	for _, l := range m.Layers {
		if t, ok := x.layerType(form, l); !ok {
			return nil, &FormError{Form: form, Type: t, Layer: l.Digest}
		}
	}
	return m, nil
}

// form returns the form that a document gets.
func (x *conversion) form(mediaType string) manifest.Form {
	if x.c.options.Form != manifest.AnyForm {
		return x.c.options.Form
	}
	return manifest.FormOf(mediaType)
}

// repacked reports whether a layer is packed anew: it has another compression than the
// wanted one, and is neither foreign nor of an unknown type.
func (x *conversion) repacked(l ocispec.Descriptor) bool {
	is, err := manifest.CompressionOf(l.MediaType)
	wanted := x.c.options.Compress
	return err == nil && wanted != manifest.Uncompressed && is != wanted && !manifest.IsForeign(l.MediaType)
}

// layerType returns the media type that a layer gets. ok is false if the form has no
// such type; it is the Type of a [FormError] then.
func (x *conversion) layerType(form manifest.Form, l ocispec.Descriptor) (_ string, ok bool) {
	if x.repacked(l) {
		if t, ok := form.Layer(x.c.options.Compress); ok {
			return t, true
		}
		t, _ := manifest.OCI.Layer(x.c.options.Compress)
		return t, false
	}
	if t, ok := form.In(l.MediaType); ok {
		return t, true
	}
	// Layers of unknown types stay as they are; Docker's form has none.
	return l.MediaType, x.c.options.Form != manifest.Docker
}

// manifest converts the manifest of an image.
func (x *conversion) manifest(d document, m *manifest.Manifest) (document, error) {
	form := x.form(m.MediaType)
	is := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: m.MediaType, ArtifactType: m.ArtifactType, Config: m.Config, Subject: m.Subject, Annotations: m.Annotations}
	if t, ok := form.In(is.MediaType); ok {
		is.MediaType = t
	}
	if t, ok := form.In(m.Config.MediaType); ok {
		is.Config.MediaType = t
	}
	became := document{blobs: []blob{{is.Config, d.blobs[0].from}}, tags: d.tags}
	for n, l := range m.Layers {
		b := blob{l, d.blobs[n+1].from}
		if packed, ok := x.packed[l.Digest]; ok {
			b = packed
			b.Annotations = unbound(l.Annotations)
		}
		b.MediaType, _ = x.layerType(form, l)
		became.blobs = append(became.blobs, b)
	}
	if form == manifest.Docker && m.MediaType != manifest.DockerManifest {
		x.bare = x.bare || len(m.Annotations) > 0
		is.Annotations, is.ArtifactType, is.Subject = nil, "", nil
		for n, b := range became.blobs {
			became.blobs[n].Descriptor = ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size, URLs: b.URLs}
		}
	}
	is.Config, is.Layers = became.blobs[0].Descriptor, descriptors(became.blobs[1:])
	if is.Layers == nil {
		is.Layers = []ocispec.Descriptor{}
	}
	same := is.MediaType == m.MediaType && is.Config.MediaType == m.Config.MediaType && slices.EqualFunc(is.Layers, m.Layers, sameBlob)
	return x.become(d, became, is.MediaType, is, same)
}

// sameBlob reports whether a layer has kept its digest and its media type.
func sameBlob(a, b ocispec.Descriptor) bool {
	return a.Digest == b.Digest && a.MediaType == b.MediaType
}

// become returns the document is, filled from doc, and records that it replaces was. If
// they are the same it returns was, with its own bytes.
func (x *conversion) become(was, is document, mediaType string, doc any, same bool) (document, error) {
	if same {
		return was, nil
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return document{}, err
	}
	is.raw, is.index = raw, was.index
	is.desc = ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	x.became[was.desc.Digest] = is.desc
	return is, nil
}

// index converts an index whose entries were converted.
func (x *conversion) index(d document) (document, error) {
	had, err := manifest.ParseIndex(d.raw, d.desc.MediaType)
	if err != nil {
		return document{}, fmt.Errorf("index %s: %w", d.desc.Digest, err)
	}
	form := x.form(had.MediaType)
	is := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: had.MediaType, ArtifactType: had.ArtifactType, Subject: had.Subject, Annotations: had.Annotations, Manifests: []ocispec.Descriptor{}}
	if t, ok := form.In(is.MediaType); ok {
		is.MediaType = t
	}
	same := is.MediaType == had.MediaType
	bare := x.c.options.Form == manifest.Docker && had.MediaType != manifest.DockerManifestList
	for _, e := range had.Manifests {
		of, attests := manifest.IsAttestation(e)
		if _, changed := x.became[digest.Digest(of)]; attests && changed {
			x.gone[e.Digest], same = true, false
			continue
		}
		if now, changed := x.became[e.Digest]; changed {
			e.MediaType, e.Digest, e.Size, e.Data, same = now.MediaType, now.Digest, now.Size, nil, false
		}
		if bare && !attests && len(e.Annotations) > 0 {
			e.Annotations, x.bare, same = nil, true, false
		}
		is.Manifests = append(is.Manifests, e)
	}
	if bare {
		x.bare = x.bare || len(is.Annotations) > 0
		is.Annotations, is.ArtifactType, is.Subject = nil, "", nil
	}
	return x.become(d, document{tags: d.tags}, is.MediaType, is, same)
}

// packingKeys has the beginnings of the keys of annotations that hold for the bytes of one
// blob only: they give offsets in it, for zstd:chunked and eStargz.
var packingKeys = [...]string{"io.github.containers.zstd-chunked.", "io.containers.estargz.", "containerd.io/snapshot/stargz/"}

// unbound returns the annotations of a layer that hold however it is compressed.
func unbound(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	maps.DeleteFunc(kept, func(key, _ string) bool {
		return slices.ContainsFunc(packingKeys[:], func(prefix string) bool { return strings.HasPrefix(key, prefix) })
	})
	return kept
}
