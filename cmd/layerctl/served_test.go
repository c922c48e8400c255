// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// served is a registry over plain HTTP in this process.
type served struct {
	host string

	mu       sync.Mutex
	requests []string // "GET /v2/…"
}

// serve starts a registry; wrap may put a handler in front of it.
func serve(t *testing.T, wrap func(http.Handler) http.Handler) *served {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	s := &served{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// blobs counts the blobs that were fetched since the last call.
func (s *served) blobs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if strings.HasPrefix(r, "GET ") && strings.Contains(r, "/blobs/") {
			n++
		}
	}
	s.requests = nil
	return n
}

// push uploads all of an OCI layout, its one image under the tag.
func push(t *testing.T, s *served, repository, tag, layout string) {
	t.Helper()
	var index ocispec.Index
	decodeFile(t, filepath.Join(layout, "index.json"), &index)
	pushManifest(t, s, repository, tag, layout, index.Manifests[0])
	s.blobs()
}

func pushManifest(t *testing.T, s *served, repository, name, layout string, desc ocispec.Descriptor) {
	t.Helper()
	var m struct {
		Manifests []ocispec.Descriptor
		Config    *ocispec.Descriptor
		Layers    []ocispec.Descriptor
	}
	body := decodeFile(t, blobPath(layout, desc.Digest), &m)
	for _, child := range m.Manifests {
		pushManifest(t, s, repository, child.Digest.String(), layout, child)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, blob := range m.Layers {
		content, err := os.ReadFile(blobPath(layout, blob.Digest))
		if err != nil {
			t.Fatal(err)
		}
		s.send(t, http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+blob.Digest.String(), "application/octet-stream", string(content))
	}
	s.send(t, http.MethodPut, "/v2/"+repository+"/manifests/"+name, desc.MediaType, string(body))
}

func (s *served) send(t *testing.T, method, path, mediaType, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, path, response.Status)
	}
}

func blobPath(layout string, d digest.Digest) string {
	return filepath.Join(layout, "blobs", d.Algorithm().String(), d.Encoded())
}

func decodeFile(t *testing.T, name string, v any) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}
