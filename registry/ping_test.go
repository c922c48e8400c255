// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
)

// pinged is a registry behind a handler that may answer in its place.
func pinged(t *testing.T, before func(w http.ResponseWriter, r *http.Request) bool, behind http.Handler) (host string, c *Client) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			behind.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	return host, New(Options{PlainHTTP: []string{host}, Retries: -1})
}

// oneImage serves an image of one manifest, and knows neither ranges nor
// referrers.
func oneImage(t *testing.T, mediaType string) *registrytest.Registry {
	t.Helper()
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	config := r.Add("application/vnd.oci.image.config.v1+json", []byte(`{"os":"linux"}`))
	r.Add(mediaType, imagetest.JSON(map[string]any{"schemaVersion": 2, "mediaType": mediaType, "config": config, "layers": []any{}}), "latest")
	return r
}

func TestPing(t *testing.T) {
	t.Parallel()
	oci := oneImage(t, ocispec.MediaTypeImageManifest)
	docker := oneImage(t, "application/vnd.docker.distribution.manifest.v2+json")
	answer := func(path, contentType, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, path) {
				return false
			}
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	ranges := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") == "" {
			return false
		}
		w.Header().Set("Content-Range", "bytes 0-0/14")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "{")
		return true
	}
	broken := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	tests := []struct {
		name                           string
		before                         func(http.ResponseWriter, *http.Request) bool
		behind                         http.Handler
		oci, docker, ranges, referrers Answer
	}{
		{"a plain one of OCI form", nil, oci, Yes, Unknown, No, No},
		{"a plain one of Docker form", nil, docker, Unknown, Yes, No, No},
		{"ranges", ranges, oci, Yes, Unknown, Yes, No},
		{"referrers", answer("/referrers/", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}`), oci, Yes, Unknown, No, Yes},
		{"a page where referrers should be", answer("/referrers/", "text/html", `<html>`), oci, Yes, Unknown, No, No},
		{"referrers out of order", broken, oci, Yes, Unknown, No, Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host, c := pinged(t, test.before, test.behind)
			p, err := c.Ping(t.Context(), host+"/image:latest")
			if err != nil {
				t.Fatal(err)
			}
			got := []Answer{p.OCI, p.Docker, p.Ranges, p.Referrers}
			if want := []Answer{test.oci, test.docker, test.ranges, test.referrers}; !slices.Equal(got, want) {
				t.Errorf("OCI, Docker, ranges, referrers are %q, want %q", got, want)
			}
			if p.Asked.String() != host+"/image:latest" || len(p.Auth) != 0 {
				t.Errorf("asked %s, auth %v", p.Asked, p.Auth)
			}
		})
	}
}

func TestPingFindsAnImage(t *testing.T) {
	host, c := pinged(t, nil, ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true)))
	p, err := c.Ping(t.Context(), host)
	if err != nil || p.Asked != (Reference{}) || p.Referrers != Unknown {
		t.Errorf("an empty registry: %+v, %v", p, err)
	}
	manifest := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":{"mediaType":"x","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+host+"/v2/some/image/manifests/v1", strings.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", ocispec.MediaTypeImageManifest)
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatal(response, err)
	}
	response.Body.Close()
	p, err = c.Ping(t.Context(), host)
	if err != nil || p.Asked.String() != host+"/some/image:v1" || p.OCI != Yes || p.Referrers != Yes {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestPingTellsAuth(t *testing.T) {
	t.Parallel()
	closed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		w.Header().Set("WWW-Authenticate", `Basic realm="a\"b"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	host, c := pinged(t, nil, closed)
	p, err := c.Ping(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	if want := []Auth{{"basic", `a"b`, ""}}; !slices.Equal(p.Auth, want) || p.API != "registry/2.0" {
		t.Errorf("got %q and %q, want %q", p.Auth, p.API, want)
	}
	if _, err := c.Ping(t.Context(), host+"/private/image"); !errors.Is(err, ErrDenied) {
		t.Errorf("an image that is denied: %v", err)
	}
}

// Some proxies refuse without a word about how they may be convinced.
func TestPingOfOneThatOnlyRefuses(t *testing.T) {
	t.Parallel()
	host, c := pinged(t, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	p, err := c.Ping(t.Context(), host)
	if want := []Auth{{Scheme: "unknown"}}; err != nil || !slices.Equal(p.Auth, want) {
		t.Errorf("got %+v, %v, want %+v", p.Auth, err, want)
	}
}

func TestPingRefuses(t *testing.T) {
	t.Parallel()
	web, c := pinged(t, nil, http.NotFoundHandler())
	if _, err := c.Ping(t.Context(), web); !errors.Is(err, ErrNetwork) {
		t.Errorf("a server that is no registry: %v", err)
	}
	for _, name := range []string{"", "no host", "plainname", "oci:/tmp", "https://ghcr.io"} {
		if _, err := c.Ping(t.Context(), name); !errors.Is(err, ErrReference) {
			t.Errorf("%q: %v, want an invalid reference", name, err)
		}
	}
}
