// SPDX-License-Identifier: Apache-2.0

package cacheserver

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
)

// attached is a manifest with a subject.
type attached struct {
	subject digest.Digest
	desc    ocispec.Descriptor
}

// Bounds on a search for referrers. Manifests are small, and an image has a handful of
// referrers.
const (
	maxAttached   = 256 << 10 // the bytes of a blob that may be a referrer
	maxCandidates = 20_000    // how many such blobs are read
	maxReferrers  = 1000
)

// referrers serves the list of the manifests in the cache that name a digest as their
// subject.
func (s *Server) referrers(w http.ResponseWriter, r *http.Request, name, reference string) error {
	subject, err := parseDigest(reference)
	if err != nil {
		return err
	}
	if !s.knows(name) {
		return errName
	}
	found, err := s.attachedTo(subject)
	if err != nil {
		return err
	}
	if kind := r.URL.Query().Get("artifactType"); kind != "" {
		found = slices.DeleteFunc(found, func(d ocispec.Descriptor) bool { return d.ArtifactType != kind })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	if r.Method == http.MethodHead {
		return nil
	}
	return gone(json.NewEncoder(w).Encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: found,
	}))
}

// attachedTo searches all small blobs for manifests with the subject. Each blob is read
// once, because its content never changes.
func (s *Server) attachedTo(subject digest.Digest) ([]ocispec.Descriptor, error) {
	blobs, err := s.cache.Blobs()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[digest.Digest]*attached{}
	found := []ocispec.Descriptor{}
	for _, b := range blobs {
		if b.Size > maxAttached || len(known) == maxCandidates {
			continue
		}
		a, read := s.subjects[b.Digest]
		if !read {
			a = s.read(b.Descriptor)
		}
		known[b.Digest] = a
		if a != nil && a.subject == subject && len(found) < maxReferrers {
			found = append(found, a.desc)
		}
	}
	s.subjects = known // without blobs that were removed
	return found, nil
}

// read reads the subject of a blob; it returns nil for a blob without one.
func (s *Server) read(desc ocispec.Descriptor) *attached {
	raw, err := s.cache.Bytes(desc, maxAttached)
	if err != nil {
		return nil
	}
	desc.MediaType = manifest.MediaTypeOf(raw)
	if !manifest.IsIndex(desc.MediaType) && !manifest.IsManifest(desc.MediaType) {
		return nil
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil || m.Subject == nil {
		return nil
	}
	desc.ArtifactType, desc.Annotations = m.ArtifactType, m.Annotations
	if desc.ArtifactType == "" {
		desc.ArtifactType = m.Config.MediaType
	}
	return &attached{m.Subject.Digest, desc}
}
