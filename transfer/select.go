// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
)

// reader reads what is copied, and counts the bytes of the documents, which stay in
// memory.
type reader struct {
	Origin
	bytes int64
}

// documents returns all manifests and indexes to copy. An index comes behind those that it
// lists, and the one that the destination names is the last.
func (r *reader) documents(ctx context.Context, platforms []string) ([]document, error) {
	root, raw, err := r.Root(ctx)
	if err != nil {
		return nil, err
	}
	kind, err := manifest.Classify(root.MediaType, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", root.Digest, err)
	}
	if kind != manifest.KindIndex {
		return r.single(ctx, root, raw, platforms)
	}
	index, err := source.Walk(ctx, root, raw, r.Manifest, nil)
	if err != nil {
		return nil, err
	}
	if len(platforms) > 0 {
		return r.chosen(ctx, index, platforms)
	}
	return r.all(ctx, index)
}

// all returns the manifests in an index, and then the indexes, the outermost last. Each
// comes once.
func (r *reader) all(ctx context.Context, index *source.Index) ([]document, error) {
	var docs []document
	seen := map[digest.Digest]bool{}
	for entry := range index.Leaves() {
		if seen[entry.Digest] {
			continue
		}
		seen[entry.Digest] = true
		d, err := r.manifest(ctx, entry)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	var indexes []document
	for x := range index.Indexes() {
		if seen[x.Descriptor.Digest] {
			continue
		}
		seen[x.Descriptor.Digest] = true
		desc := x.Descriptor
		desc.MediaType = x.MediaType
		indexes = append(indexes, document{desc: desc, raw: x.Raw, index: true})
	}
	slices.Reverse(indexes)
	return append(docs, indexes...), nil
}

// single returns the only manifest, of an image or an artifact.
func (r *reader) single(ctx context.Context, root ocispec.Descriptor, raw []byte, platforms []string) ([]document, error) {
	d, err := r.parse(root, raw)
	if err != nil {
		return nil, err
	}
	for _, spec := range platforms {
		if err := r.fits(ctx, d, spec); err != nil {
			return nil, err
		}
	}
	return []document{d}, nil
}

// fits returns an error if the only image is not for a platform, by its config.
func (r *reader) fits(ctx context.Context, d document, spec string) error {
	wanted, err := platform.ParseWanted(spec)
	if err != nil {
		return err
	}
	m, err := manifest.ParseImage(d.raw, d.desc.MediaType)
	if err != nil {
		return err
	}
	raw, err := r.Config(ctx, m.Config)
	if err != nil {
		return err
	}
	config, err := manifest.ParseConfig(raw)
	if err != nil {
		return err
	}
	_, err = platform.Choose(wanted, []ocispec.Descriptor{{MediaType: m.MediaType, Platform: &config.Platform}})
	return err
}

// chosen returns the image for one platform, or the images for several with a new index
// of them and their attestations.
func (r *reader) chosen(ctx context.Context, index *source.Index, platforms []string) ([]document, error) {
	leaves := slices.Collect(index.Leaves())
	picked := map[digest.Digest]bool{}
	for _, spec := range platforms {
		wanted, err := platform.ParseWanted(spec)
		if err != nil {
			return nil, err
		}
		choice, err := source.Choose(ctx, wanted, leaves, r)
		if err != nil {
			return nil, err
		}
		picked[choice.Descriptor.Digest] = true
	}
	var docs []document
	var entries []ocispec.Descriptor
	for _, entry := range leaves {
		of, attests := manifest.IsAttestation(entry)
		attests = attests && len(platforms) > 1 && picked[digest.Digest(of)]
		if !picked[entry.Digest] && !attests || slices.ContainsFunc(entries, func(e ocispec.Descriptor) bool { return e.Digest == entry.Digest }) {
			continue
		}
		d, err := r.manifest(ctx, entry)
		if err != nil {
			return nil, err
		}
		docs, entries = append(docs, d), append(entries, entry)
	}
	if len(platforms) == 1 {
		return docs, nil
	}
	list, err := narrowed(index, entries)
	if err != nil {
		return nil, err
	}
	return append(docs, list), nil
}

// narrowed makes an index like index with only the entries.
func narrowed(index *source.Index, entries []ocispec.Descriptor) (document, error) {
	list := ocispec.Index{MediaType: index.MediaType, ArtifactType: index.ArtifactType, Manifests: entries, Subject: index.Subject, Annotations: index.Annotations}
	list.SchemaVersion = 2
	raw, err := json.Marshal(list)
	if err != nil {
		return document{}, err
	}
	desc := ocispec.Descriptor{MediaType: index.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return document{desc: desc, raw: raw, index: true}, nil
}

// manifest reads one manifest.
func (r *reader) manifest(ctx context.Context, desc ocispec.Descriptor) (document, error) {
	raw, err := r.Manifest(ctx, desc)
	if err != nil {
		return document{}, err
	}
	if r.bytes += int64(len(raw)); r.bytes > source.MaxDocuments {
		return document{}, &manifest.BudgetError{Max: source.MaxDocuments}
	}
	return r.parse(desc, raw)
}

// parse makes the document of a manifest, with the blobs that it names.
func (r *reader) parse(desc ocispec.Descriptor, raw []byte) (document, error) {
	m, err := manifest.ParseManifest(raw, desc.MediaType)
	if err != nil {
		return document{}, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	desc = ocispec.Descriptor{MediaType: m.MediaType, Digest: desc.Digest, Size: int64(len(raw))}
	d := document{desc: desc, raw: raw}
	for _, b := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		d.blobs = append(d.blobs, blob{b, r.Origin})
	}
	return d, nil
}
