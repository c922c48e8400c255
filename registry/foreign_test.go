// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// foreignOf describes what only its urls have.
func foreignOf(body []byte, urls ...string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: manifest.DockerForeignGzip, Digest: digest.FromBytes(body), Size: int64(len(body)), URLs: urls}
}

func TestForeignLayers(t *testing.T) {
	t.Parallel()
	body := noise(testSize)
	sent := http.Header{}
	var tries int
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range r.Header {
			sent[name] = value
		}
		h := &hostile{body: body}
		switch r.URL.Path {
		case "/layer":
			h.honest(w, r)
		case "/breaks":
			if tries++; tries == 1 {
				h.honest(cut(&counted{w, h, -1}, testSize/2), r)
			} else {
				h.honest(w, r)
			}
		case "/short":
			h.whole(w, body[1:])
		case "/other":
			h.whole(w, noise(testSize + 1)[1:])
		case "/redirect":
			http.Redirect(w, r, "/layer", http.StatusFound)
		case "/login":
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		case "/imds":
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(elsewhere.Close)
	at := func(path string) string { return elsewhere.URL + path }
	withUser := strings.Replace(at("/layer"), "http://", "http://user:s3cret@", 1)
	layout := imagetest.NewLayout(t.TempDir())
	layout.Tag(layout.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}), "x")
	inFile := "oci:" + layout.Dir
	for _, c := range []struct {
		name    string
		ref     string // "" is the registry
		refuse  bool   // it denies what it does not have
		off     bool   // without Options.Foreign
		urls    []string
		kind    error
		message string
	}{
		{name: "one", urls: []string{at("/layer")}},
		{name: "the third", urls: []string{at("/none"), at("/short"), at("/layer")}},
		{name: "a registry that denies", refuse: true, urls: []string{at("/layer")}},
		{name: "a redirect", urls: []string{at("/redirect")}},
		{name: "a broken body", urls: []string{at("/breaks")}},
		{name: "a user in the url", urls: []string{withUser}},
		{name: "no url", urls: []string{"ftp://x/", "%", "https:///", "mailto:a", at("/layer")}},
		{name: "a link-local one before", urls: []string{"http://169.254.169.254/", at("/imds"), at("/layer")}},
		{name: "not asked for", off: true, urls: []string{at("/layer")}, kind: ErrNotFound, message: "a foreign layer, which may be missing where its image is; its urls (1) are not followed: GET "},
		{name: "nowhere", urls: nil, kind: ErrNotFound, message: "and without a url: GET "},
		{name: "only nonsense", urls: []string{"%"}, kind: ErrNotFound, message: "from its urls: none of "},
		{name: "all gone", urls: []string{at("/none"), at("/gone")}, kind: ErrNotFound, message: "/gone: 404"},
		{name: "wants a login", urls: []string{at("/login")}, kind: ErrDenied, message: "401"},
		{name: "other bytes", urls: []string{at("/other")}, kind: ErrMismatch, message: "sha256:"},
		{name: "a redirect to what is link-local", urls: []string{at("/imds")}, kind: ErrNetwork, message: "which is link-local"},
		{name: "an image in a file, http", ref: inFile, urls: []string{at("/layer")}, kind: ErrNetwork, message: "an image in a file leads to http://127.0.0.1"},
		{name: "an image in a file, here", ref: inFile, urls: []string{"https://127.0.0.1:1/layer"}, kind: ErrNetwork, message: "refused: an image in a file, which is public, leads to 127.0.0.1:1"},
		{name: "an image in a file, no host", ref: inFile, urls: []string{"https://:443/layer"}, kind: ErrNotFound, message: "none of"},
		{name: "an image in a file, off", ref: inFile, off: true, urls: []string{at("/layer")}, kind: ErrNotFound, message: "its urls (1) are not followed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
				denied := c.refuse && strings.Contains(r.URL.Path, "/blobs/")
				if denied {
					w.WriteHeader(http.StatusForbidden)
				}
				return denied
			}))
			ref := c.ref
			if ref == "" {
				ref = s.host + "/library/hello"
			}
			o := plain(s)
			o.Foreign, o.Retries = !c.off, -1
			if c.name == "a broken body" {
				o.Retries = 1
			}
			o.Logins = map[string]Login{s.host: {Username: "u", Password: "p"}, elsewhere.Listener.Addr().String(): {Username: "u", Password: "p"}}
			got, err := readAll(t.Context(), open(t, New(o), ref), foreignOf(body, c.urls...))
			if c.kind == nil && (err != nil || !bytes.Equal(got, body)) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if c.kind != nil {
				wantError(t, err, c.kind, c.message)
			}
			var foreign *ForeignError
			if c.off && (!errors.As(err, &foreign) || foreign.Followed || foreign.URLs != 1) {
				t.Errorf("got %+v", foreign)
			}
		})
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		if sent.Get(name) != "" {
			t.Errorf("%s was sent: %q", name, sent.Get(name))
		}
	}
}

// A url that sent other bytes is asked last by who tries again.
func TestForeignURLThatLies(t *testing.T) {
	t.Parallel()
	body := noise(testSize)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := &hostile{body: body}
		if r.URL.Path == "/layer" {
			h.honest(w, r)
		} else {
			h.whole(w, make([]byte, testSize))
		}
	}))
	t.Cleanup(elsewhere.Close)
	s := serve(t, before(func(http.ResponseWriter, *http.Request) bool { return false }))
	o := plain(s)
	o.Foreign, o.Retries = true, -1
	src := open(t, New(o), s.host+"/library/hello")
	desc := foreignOf(body, elsewhere.URL+"/one", elsewhere.URL+"/two", elsewhere.URL+"/layer")
	for range 2 {
		var mismatch *MismatchError
		if _, err := readAll(t.Context(), src, desc); !errors.As(err, &mismatch) || !mismatch.Others {
			t.Fatalf("got %+v, %v", mismatch, err)
		}
	}
	if got, err := readAll(t.Context(), src, desc); err != nil || !bytes.Equal(got, body) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// TestForeignFromThePublic: what a public registry's image names is public.
func TestForeignFromThePublic(t *testing.T) {
	t.Parallel()
	body := noise(10)
	for url, message := range map[string]string{
		"http://layers.example/x": "leads to http://layers.example/x, from https",
		"https://10.0.0.1/x":      "which is public, leads to 10.0.0.1, which is not",
		"https://localhost/x":     "which is public, leads to localhost, which is not",
		"https://0x7f.1/x":        "which is public, leads to 0x7f.1, which is not",
		"https://[fd00:ec2::254]": "which is link-local",
	} {
		o := quick(Options{Foreign: true, Retries: -1, Transport: answers(func(req *http.Request) int {
			if req.URL.Host != "reg.example" {
				t.Errorf("asked %s", req.URL)
			}
			return http.StatusNotFound
		})})
		_, err := readAll(t.Context(), open(t, New(o), "reg.example/a:1"), foreignOf(body, url))
		wantError(t, err, ErrNetwork, message)
	}
}

// answers is a network where every host says the same.
type answers func(*http.Request) int

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteHeader(a(req))
	resp := w.Result()
	resp.Request = req
	return resp, nil
}
