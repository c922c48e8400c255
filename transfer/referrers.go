// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/referrers"
	"github.com/layerctl/layerctl/registry"
)

// levels is how far referrers are followed: to an SBOM, and to its signature.
const levels = 2

// referrers copies what refers to the documents, and what refers to that.
func (c *copier) referrers(ctx context.Context, docs []document) error {
	from, ok := c.source.Origin.(referrers.Source)
	if !ok {
		return errkind.With(errkind.Usage, fmt.Errorf("%s keeps nothing that refers to an image", c.done.Source))
	}
	finder := referrers.New(from, referrers.Options{Brief: true})
	seen := map[digest.Digest]bool{}
	for _, d := range docs {
		seen[d.desc.Digest] = true
	}
	level := docs
	for range levels {
		var found []document
		for _, d := range level {
			more, err := c.attached(ctx, finder, d.desc.Digest, seen)
			if err != nil {
				return fmt.Errorf("what refers to %s: %w", d.desc.Digest, err)
			}
			found = append(found, more...)
		}
		if err := c.images(ctx, found); err != nil {
			return err
		}
		c.done.Referrers += len(found)
		level = found
	}
	return nil
}

// attached reads the manifests that refer to a digest and are not in seen, and adds them
// to that.
func (c *copier) attached(ctx context.Context, finder *referrers.Finder, of digest.Digest, seen map[digest.Digest]bool) ([]document, error) {
	all, err := finder.Of(ctx, of, nil)
	if err != nil {
		return nil, err
	}
	var docs []document
	for _, a := range all {
		desc := a.Manifest
		if a.Err != nil {
			return nil, a.Err
		}
		if seen[desc.Digest] {
			continue
		}
		seen[desc.Digest] = true
		if manifest.IsIndex(desc.MediaType) {
			c.warn("%s refers to the image, and is an index: it is not copied", desc.Digest)
			continue
		}
		d, err := c.source.manifest(ctx, desc)
		if err != nil {
			return nil, err
		}
		if a.Place == referrers.ByTag {
			d.tags = []string{a.Tag}
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// subjectOf returns the digest to which a manifest refers; "" if it refers to none.
func subjectOf(raw []byte) digest.Digest {
	var doc struct{ Subject *ocispec.Descriptor }
	if json.Unmarshal(raw, &doc) != nil || doc.Subject == nil || doc.Subject.Digest.Validate() != nil {
		return ""
	}
	return doc.Subject.Digest
}

// listed adds a manifest that was sent to the list of its subject's referrers, if the
// destination is a registry without the referrers API, which has told no subject. The list
// is an index under the fallback tag, see
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
func (c *copier) listed(ctx context.Context, d document, told digest.Digest) error {
	to, is := c.target.(repository)
	tag := manifest.ReferrersTag(subjectOf(d.raw))
	if !is || tag == "" || told != "" {
		return nil
	}
	list, err := to.fallback(ctx, tag)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list.Manifests, func(e ocispec.Descriptor) bool { return e.Digest == d.desc.Digest }) {
		return nil
	}
	m, err := manifest.ParseManifest(d.raw, d.desc.MediaType)
	if err != nil {
		return err
	}
	entry := d.desc
	entry.ArtifactType, entry.Annotations = m.ArtifactType, m.Annotations
	if entry.ArtifactType == "" {
		entry.ArtifactType = m.Config.MediaType
	}
	list.Manifests = append(list.Manifests, entry)
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	desc := ocispec.Descriptor{MediaType: list.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	_, err = to.PutManifest(ctx, desc, raw, tag)
	return err
}

// fallback reads the list that the tag names; it is empty where there is no such tag.
func (r repository) fallback(ctx context.Context, tag string) (ocispec.Index, error) {
	list := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	list.SchemaVersion = 2
	desc, err := r.Describe(ctx, tag)
	if errors.Is(err, registry.ErrNotFound) {
		return list, nil
	}
	if err != nil {
		return list, err
	}
	desc.Size = -1 // a HEAD may say none, or a wrong one
	raw, err := r.Manifest(ctx, desc)
	if err != nil {
		return list, err
	}
	had, err := manifest.ParseIndex(raw, desc.MediaType)
	if err != nil {
		return list, fmt.Errorf("list of referrers %s: %w", tag, err)
	}
	list.Manifests, list.Annotations = had.Manifests, had.Annotations
	return list, nil
}
