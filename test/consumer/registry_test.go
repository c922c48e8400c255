// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	host     = "registry.example"
	user     = "reader"
	password = "swordfish"
)

// registry is the image of this repository as a registry serves it, behind
// basic authentication. It is no server: requests reach it by a RoundTripper.
type registry struct {
	layout   string
	manifest string // digest of what :1 names
	requests int
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	layout := filepath.Join("..", "..", "testdata", "images", "hello")
	raw, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct{ Manifests []struct{ Digest string } }
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	return &registry{layout: layout, manifest: index.Manifests[0].Digest}
}

func (r *registry) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != host {
		return nil, errors.New("a request for " + req.URL.Host)
	}
	r.requests++
	w := httptest.NewRecorder()
	r.serve(w, req)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

func (r *registry) serve(w *httptest.ResponseRecorder, req *http.Request) {
	if u, p, _ := req.BasicAuth(); u != user || p != password {
		w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/hello/"), "/")
	if kind == "manifests" && name == "1" {
		name = r.manifest
	}
	raw, err := os.ReadFile(filepath.Join(r.layout, "blobs", "sha256", strings.TrimPrefix(name, "sha256:")))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if kind == "manifests" {
		var typed struct{ MediaType string }
		_ = json.Unmarshal(raw, &typed)
		w.Header().Set("Content-Type", typed.MediaType)
	}
	w.Header().Set("Docker-Content-Digest", name)
	http.ServeContent(w, req, "", modified, strings.NewReader(string(raw)))
}
