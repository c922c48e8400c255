// SPDX-License-Identifier: Apache-2.0

// Package registrytest serves registries over plain HTTP for tests: one that
// gives what it was given, honest or not, and one that takes what is pushed.
//
// It is apart from imagetest, so that tests without a registry are linked
// without net/http. No part of the product imports it. Its functions panic on
// misuse, as a test would.
package registrytest

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// Registry is a registry over plain HTTP that serves what it is given, also
// what no honest registry would take: indexes without their manifests,
// documents that are none. It has one repository for all names, and counts.
type Registry struct {
	Host string

	server   *httptest.Server
	mu       sync.Mutex
	content  map[digest.Digest]content
	tags     map[string]digest.Digest
	requests []string
	listing  bool // it has the referrers API
	failing  map[string]int
}

type content struct {
	mediaType string
	raw       []byte
}

// NewRegistry starts one; Close ends it.
func NewRegistry() *Registry {
	r := &Registry{content: map[digest.Digest]content{}, tags: map[string]digest.Digest{}}
	r.server = httptest.NewServer(r)
	r.Host = strings.TrimPrefix(r.server.URL, "http://")
	return r
}

// Close stops it.
func (r *Registry) Close() { r.server.Close() }

// Add has raw served by its digest, as the media type, and by the tags.
func (r *Registry) Add(mediaType string, raw []byte, tags ...string) ocispec.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	r.content[d.Digest] = content{mediaType, raw}
	for _, tag := range tags {
		r.tags[tag] = d.Digest
	}
	return d
}

// AddAs has raw served by another digest than sha256.
func (r *Registry) AddAs(d digest.Digest, mediaType string, raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content[d] = content{mediaType, raw}
}

// ListReferrers gives it the referrers API: it lists what names a digest as its
// subject.
func (r *Registry) ListReferrers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listing = true
}

// Fail has each request of a kind ("blobs") answered with the status.
func (r *Registry) Fail(kind string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing = map[string]int{kind: status}
}

// referrers are the manifests whose subject is the digest, by their digests.
func (r *Registry) referrers(of digest.Digest) []byte {
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for _, d := range slices.Sorted(maps.Keys(r.content)) {
		c := r.content[d]
		var m ocispec.Manifest
		if json.Unmarshal(c.raw, &m) != nil || m.Subject == nil || m.Subject.Digest != of {
			continue
		}
		list.Manifests = append(list.Manifests, ocispec.Descriptor{
			MediaType: c.mediaType, Digest: d, Size: int64(len(c.raw)), Annotations: m.Annotations,
			ArtifactType: cmp.Or(m.ArtifactType, m.Config.MediaType),
		})
	}
	return imagetest.JSON(list)
}

// Tag gives what is there a tag.
func (r *Registry) Tag(desc ocispec.Descriptor, tag string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tags[tag] = desc.Digest
}

// Tagged is the digest that a tag names.
func (r *Registry) Tagged(tag string) digest.Digest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tags[tag]
}

// AddLayout has all blobs of an OCI layout served, and what its index.json
// names by the tag.
func (r *Registry) AddLayout(dir, tag string) ocispec.Descriptor {
	var index ocispec.Index
	raw, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	must(err)
	must(json.Unmarshal(raw, &index))
	must(filepath.WalkDir(filepath.Join(dir, "blobs"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(name)
		r.AddAs(digest.NewDigestFromEncoded(digest.Algorithm(filepath.Base(filepath.Dir(name))), d.Name()), bodyType(raw), raw)
		return err
	}))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tags[tag] = index.Manifests[0].Digest
	return index.Manifests[0]
}

// bodyType is the media type that a document gives itself.
func bodyType(raw []byte) string {
	var said struct{ MediaType string }
	if json.Unmarshal(raw, &said) != nil {
		return "" // a layer
	}
	return said.MediaType
}

// Requests are those since the last call: "GET manifests/latest".
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.requests
	r.requests = nil
	return sent
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	parts := strings.Split(req.URL.Path, "/")
	kind, name := parts[len(parts)-2], parts[len(parts)-1]
	r.requests = append(r.requests, req.Method+" "+kind+"/"+name)
	d := digest.Digest(name)
	if tagged, ok := r.tags[name]; ok && kind == "manifests" {
		d = tagged
	}
	c, ok := r.content[d]
	switch {
	case req.URL.Path == "/v2/":
		return
	case r.failing[kind] != 0:
		http.Error(w, "it fails", r.failing[kind])
		return
	case kind == "referrers" && r.listing:
		c.raw = r.referrers(d)
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	case !ok || kind != "manifests" && kind != "blobs":
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, http.StatusNotFound)
		return
	case kind == "manifests":
		w.Header().Set("Docker-Content-Digest", d.String())
		w.Header().Set("Content-Type", c.mediaType)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(c.raw)))
	if req.Method != http.MethodHead {
		// A client that went away is no failure of the registry.
		_, _ = w.Write(c.raw)
	}
}
