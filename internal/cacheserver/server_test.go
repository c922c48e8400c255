// SPDX-License-Identifier: Apache-2.0

package cacheserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/bcrypt"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/errkind"
)

// kept is a cache with one image, and what is attached to it.
type kept struct {
	dir                  string
	cache                *cache.Cache
	layer, config, image ocispec.Descriptor
	signature            ocispec.Descriptor
	bytes                map[digest.Digest][]byte
}

func newKept(t testing.TB) *kept {
	t.Helper()
	k := &kept{dir: t.TempDir(), bytes: map[digest.Digest][]byte{}}
	var err error
	if k.cache, err = cache.Open(t.Context(), k.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.cache.Close() })
	k.layer = k.put(t, ocispec.MediaTypeImageLayer, bytes.Repeat([]byte("0123456789"), 20_000))
	k.config = k.put(t, ocispec.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux"}`))
	k.image = k.manifest(t, ocispec.Manifest{Config: k.config, Layers: []ocispec.Descriptor{k.layer}})
	k.signature = k.manifest(t, ocispec.Manifest{ArtifactType: "application/x-sig", Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{}, Subject: &k.image})
	for _, name := range []string{"docker.io/library/app:1", "registry.example/team/app:1", "registry.example/twice:1", "other.example:5000/twice:1"} {
		desc := k.image
		if strings.HasPrefix(name, "other") {
			desc = k.signature
		}
		if err := k.cache.Tag(t.Context(), name, desc); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *kept) put(t testing.TB, mediaType string, b []byte) ocispec.Descriptor {
	t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	if err := k.cache.Put(t.Context(), desc, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	k.bytes[desc.Digest] = b
	return desc
}

func (k *kept) manifest(t testing.TB, m ocispec.Manifest) ocispec.Descriptor {
	t.Helper()
	m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return k.put(t, m.MediaType, raw)
}

// ask sends a request to a server over a cache.
func ask(t *testing.T, url, method, target string, header http.Header) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Opaque = target // as it is
	if header != nil {
		request.Header = header
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer, b, err
}

func TestServe(t *testing.T) {
	k := newKept(t)
	server := httptest.NewServer(New(k.cache, Options{}))
	defer server.Close()
	image, layer := string(k.bytes[k.image.Digest]), string(k.bytes[k.layer.Digest])
	blob := "/v2/team/app/blobs/" + k.layer.Digest.String()
	for _, c := range []struct {
		name, target, span string
		status             int
		body               string
	}{
		{"the base", "/v2/", "", 200, "{}\n"},
		{"the base without a slash", "/v2", "", 200, "{}\n"},
		{"a tag with ns", "/v2/library/app/manifests/1?ns=docker.io", "", 200, image},
		{"a tag with the ns of another", "/v2/library/app/manifests/1?ns=registry.example", "", 404, ""},
		{"a tag of a registry in the name", "/v2/registry.example/team/app/manifests/1", "", 200, image},
		{"a tag of any registry", "/v2/team/app/manifests/1", "", 200, image},
		{"a tag that means two things", "/v2/twice/manifests/1", "", 404, ""},
		{"one of the two", "/v2/twice/manifests/1?ns=registry.example", "", 200, image},
		{"a digest", "/v2/team/app/manifests/" + k.image.Digest.String(), "", 200, image},
		{"a blob that is no manifest", "/v2/team/app/manifests/" + k.config.Digest.String(), "", 404, ""},
		{"a large blob that is no manifest", "/v2/team/app/manifests/" + k.layer.Digest.String(), "", 404, ""},
		{"a manifest that is not there", "/v2/team/app/manifests/" + digest.FromString("none").String(), "", 404, ""},
		{"a tag that is not there", "/v2/team/app/manifests/2", "", 404, ""},
		{"a blob", blob, "", 200, layer},
		{"a blob of a name of any depth", "/v2/registry.example/a/b/c/blobs/" + k.config.Digest.String(), "", 200, string(k.bytes[k.config.Digest])},
		{"a blob that is not there", "/v2/team/app/blobs/" + digest.FromString("none").String(), "", 404, ""},
		{"a beginning", blob, "bytes=0-9", 206, "0123456789"},
		{"the rest", blob, "bytes=199995-", 206, "56789"},
		{"the end", blob, "bytes=-3", 206, "789"},
		{"more than there is", blob, "bytes=199999-300000", 206, "9"},
		{"behind the end", blob, "bytes=200000-", 416, ""},
		{"no end", blob, "bytes=-0", 416, ""},
		{"several ranges", blob, "bytes=0-1,3-4", 200, layer},
		{"no range", blob, "bytes=x-y", 200, layer},
		{"another unit", blob, "lines=0-1", 200, layer},
		{"backwards", blob, "bytes=9-0", 200, layer},
		{"the catalog", "/v2/_catalog", "", 404, ""},
		{"tags", "/v2/team/app/tags/list", "", 404, ""},
		{"an upload", "/v2/team/app/blobs/uploads/", "", 404, ""},
		{"no registry", "/", "", 404, ""},
		{"a digest that is none", "/v2/team/app/blobs/sha256:../../../oci-layout", "", 404, ""},
		{"one that is cut", "/v2/team/app/blobs/sha256:abc", "", 400, ""},
		{"of another algorithm", "/v2/team/app/blobs/" + digest.SHA384.FromString("x").String(), "", 400, ""},
		{"a way out", "/v2/team/app/blobs/..%2f..%2findex.json", "", 404, ""},
		{"a name that is none", "/v2/Team/APP/blobs/" + k.layer.Digest.String(), "", 404, ""},
		{"a tag that is none", "/v2/team/app/manifests/..", "", 404, ""},
		{"an ns that is none", "/v2/team/app/manifests/1?ns=../x", "", 404, ""},
		{"too long", "/v2/" + strings.Repeat("a", maxTarget) + "/manifests/1", "", 414, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			if c.span != "" {
				header.Set("Range", c.span)
			}
			answer, b, err := ask(t, server.URL, http.MethodGet, c.target, header)
			if err != nil || answer.StatusCode != c.status || c.body != "" && string(b) != c.body {
				t.Errorf("got %s with %d bytes, %v", answer.Status, len(b), err)
			}
			if c.body == "" && !strings.HasPrefix(string(b), `{"errors":[{"code":"`) {
				t.Errorf("the error is %q", b)
			}
			head, b, _ := ask(t, server.URL, http.MethodHead, c.target, header)
			if head.StatusCode != c.status || len(b) > 0 || c.status < 300 && head.ContentLength != int64(len(c.body)) && !strings.HasPrefix(c.name, "the base") {
				t.Errorf("HEAD: %s, %d bytes said", head.Status, head.ContentLength)
			}
		})
	}
	answer, _, _ := ask(t, server.URL, http.MethodGet, "/v2/team/app/manifests/1", nil)
	if answer.Header.Get("Docker-Content-Digest") != k.image.Digest.String() || answer.Header.Get("Content-Type") != ocispec.MediaTypeImageManifest {
		t.Errorf("headers %v", answer.Header)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		if answer, _, _ := ask(t, server.URL, method, blob, nil); answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, answer.Status)
		}
	}
}

func TestReferrers(t *testing.T) {
	k := newKept(t)
	server := httptest.NewServer(New(k.cache, Options{}))
	defer server.Close()
	for target, want := range map[string]int{
		k.image.Digest.String(): 1, k.signature.Digest.String(): 0, k.image.Digest.String() + "?artifactType=application/x-sig": 1,
		k.image.Digest.String() + "?artifactType=else": 0,
	} {
		answer, b, err := ask(t, server.URL, http.MethodGet, "/v2/team/app/referrers/"+target, nil)
		var index ocispec.Index
		if err := errors.Join(err, json.Unmarshal(b, &index)); err != nil || answer.StatusCode != 200 || index.Manifests == nil || len(index.Manifests) != want {
			t.Errorf("%s: %s %s %v", target, answer.Status, b, err)
		}
		if want == 1 && (index.Manifests[0].Digest != k.signature.Digest || index.Manifests[0].ArtifactType != "application/x-sig") {
			t.Errorf("%s: %+v", target, index.Manifests[0])
		}
	}
}

// TestDamagedBlob: nobody gets all of a blob that is not what its digest says,
// and it is gone after that.
func TestDamagedBlob(t *testing.T) {
	k := newKept(t)
	server := httptest.NewServer(New(k.cache, Options{}))
	defer server.Close()
	file := filepath.Join(k.dir, "blobs", "sha256", k.layer.Digest.Encoded())
	damaged := bytes.Clone(k.bytes[k.layer.Digest])
	damaged[5] ^= 1
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, damaged, 0o600)); err != nil {
		t.Fatal(err)
	}
	target := "/v2/team/app/blobs/" + k.layer.Digest.String()
	if _, b, err := ask(t, server.URL, http.MethodGet, target, nil); err == nil || len(b) == len(damaged) {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	if answer, _, _ := ask(t, server.URL, http.MethodGet, target, nil); answer.StatusCode != 404 {
		t.Errorf("the second time: %s", answer.Status)
	}
}

func TestUsers(t *testing.T) {
	k := newKept(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users, err := ReadUsers(strings.NewReader("# who may ask\nnode:" + string(hash) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(New(k.cache, Options{Users: users}))
	defer server.Close()
	for _, c := range []struct {
		user, password string
		status         int
	}{{"node", "wrong", 401}, {"node", "right", 200}, {"node", "right", 200}, {"node", "wrong", 401}, {"else", "right", 401}, {"", "", 401}, {"node", strings.Repeat("x", 100), 401}} {
		header := http.Header{}
		if c.user != "" {
			request := http.Request{Header: header}
			request.SetBasicAuth(c.user, c.password)
		}
		answer, _, _ := ask(t, server.URL, http.MethodGet, "/v2/", header)
		if answer.StatusCode != c.status || c.status == 401 && answer.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s with %s: %s", c.user, c.password, answer.Status)
		}
	}
	for name, text := range map[string]string{
		"nothing": "# none\n", "a password": "node:right", "another hash": "node:$apr1$x$y", "no name": ":" + string(hash),
		"a cost that nobody can pay": "node:$2y$31$" + strings.Repeat("a", 53), "too large": strings.Repeat("#\n", maxUsersFile),
	} {
		if _, err := ReadUsers(strings.NewReader(text)); !errors.Is(err, errkind.Usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPace(t *testing.T) {
	p, now := &pace{rate: 100}, time.Unix(0, 0)
	for i, want := range []time.Duration{0, time.Second, 2 * time.Second} {
		if got := p.due(now, 100); got != want {
			t.Errorf("piece %d goes after %v, not %v", i, got, want)
		}
	}
	if got := p.due(now.Add(time.Minute), 100); got != 0 {
		t.Errorf("after a pause a piece goes after %v", got)
	}
}

// FuzzRequest: whatever is asked for, what comes is of the cache, or an error.
func FuzzRequest(f *testing.F) {
	k := newKept(f)
	server := New(k.cache, Options{})
	for _, target := range []string{"/v2/", "/v2/team/app/manifests/1?ns=docker.io", "/v2/a/blobs/" + k.layer.Digest.String(), "/v2/a/referrers/" + k.image.Digest.String(), "/v2/a/blobs/../../oci-layout"} {
		f.Add(target, "bytes=0-9")
	}
	f.Fuzz(func(t *testing.T, target, span string) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			return
		}
		request.Header.Set("Range", span)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, request)
		if w.Code == 200 || w.Code == 206 {
			body := w.Body.Bytes()
			for _, b := range k.bytes {
				if bytes.Contains(b, body) {
					return
				}
			}
			if !strings.Contains(target, "/referrers/") && string(body) != "{}\n" {
				t.Errorf("%q brings %q", target, body)
			}
		}
	})
}
