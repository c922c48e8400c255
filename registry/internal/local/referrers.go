// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

// maxScanned bounds the bytes of the manifests that are read to find the referrers of
// one digest.
const maxScanned = 32 << 20

// Referrers lists the manifests in index.json that name a digest as their subject, in
// the way of a registry: with the artifact types and annotations of the manifests
// themselves. Manifests that cannot be read are left out.
func (l *Layout) Referrers(ctx context.Context, of digest.Digest) ([]ocispec.Descriptor, error) {
	index, _, err := l.readIndex()
	if err != nil {
		return nil, err
	}
	var list []ocispec.Descriptor
	left := int64(maxScanned)
	seen := map[digest.Digest]bool{}
	for _, desc := range index.Manifests {
		if seen[desc.Digest] || content.Check(desc, content.MaxManifest) != nil || desc.Digest == of {
			continue
		}
		seen[desc.Digest] = true
		if left -= desc.Size; left < 0 {
			return nil, failure.New(failure.Malformed, "%s: more than %d bytes of manifests to search for referrers", l.name.file(), maxScanned)
		}
		raw, err := l.Manifest(ctx, desc)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil || subjectOf(raw) != of {
			continue
		}
		if m, err := manifest.ParseManifest(raw, desc.MediaType); err == nil {
			list = append(list, ocispec.Descriptor{
				MediaType: m.MediaType, Digest: desc.Digest, Size: desc.Size, ArtifactType: artifactType(m), Annotations: m.Annotations,
			})
		}
		if len(list) > manifest.MaxEntries {
			return nil, failure.New(failure.Malformed, "%s has more than %d referrers", of, manifest.MaxEntries)
		}
	}
	return list, nil
}

// artifactType returns the artifactType that a registry would list, see
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
func artifactType(m *manifest.Manifest) string {
	if m.ArtifactType != "" {
		return m.ArtifactType
	}
	return m.Config.MediaType
}

// subjectOf returns the digest that a manifest names as its subject; "" for none.
func subjectOf(raw []byte) digest.Digest {
	var doc struct {
		Subject struct {
			Digest digest.Digest `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(raw, &doc) != nil {
		return ""
	}
	return doc.Subject.Digest
}

// ReadTag reads what another tag of the layout stands for: the first entry of
// index.json whose name is the tag, or ends with a colon and the tag.
func (l *Layout) ReadTag(ctx context.Context, tag string) (ocispec.Descriptor, []byte, error) {
	index, _, err := l.readIndex()
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	for _, desc := range index.Manifests {
		name := desc.Annotations[ocispec.AnnotationRefName]
		full := desc.Annotations[containerdName]
		if name != tag && !strings.HasSuffix(name, ":"+tag) && !strings.HasSuffix(full, ":"+tag) {
			continue
		}
		if err := content.Check(desc, content.MaxManifest); err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		raw, err := l.Manifest(ctx, desc)
		return desc, raw, err
	}
	return ocispec.Descriptor{}, nil, failure.New(failure.NotFound, "%s has no tag %q", l.name.file(), tag)
}
