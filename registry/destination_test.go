// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// destination is a repository of a registry in this process.
func destination(t *testing.T, p *registrytest.Pushed, o Options, name string) *Destination {
	t.Helper()
	o.PlainHTTP = append(o.PlainHTTP, p.Host)
	ref, err := Parse(p.Host + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(quick(o)).Destination(ref)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func pushed(t *testing.T) *registrytest.Pushed {
	t.Helper()
	p := registrytest.NewPushed()
	t.Cleanup(p.Close)
	return p
}

// uploadOf sends body, and counts how often it is opened.
func uploadOf(body []byte, opened *int) Upload {
	return Upload{Descriptor: describe(body), Open: func(context.Context) (io.ReadCloser, error) {
		*opened++
		return io.NopCloser(bytes.NewReader(body)), nil
	}}
}

func TestPutBlob(t *testing.T) {
	small, large := noise(1000), noise(5<<20)
	for _, c := range []struct {
		name     string
		body     []byte
		prepare  func(p *registrytest.Pushed)
		requests string // without HEAD and GET, as "POST PATCH PUT"; "" is not looked at
		opened   int    // at most; how much lies between here and there is the kernel's affair
	}{
		{name: "small", body: small, requests: "POST PUT", opened: 1},
		{name: "empty", body: []byte{}, requests: "POST PUT", opened: 0},
		{name: "large", body: large, requests: "POST PATCH PUT", opened: 1},
		{name: "cut, goes on", body: large, prepare: func(p *registrytest.Pushed) { p.CutAt = 256 << 10 }, opened: 2},
		{name: "cut, forgets", body: large, prepare: func(p *registrytest.Pushed) { p.CutAt, p.Forgets = 256<<10, true }},
		{name: "small, cut", body: noise(300 << 10), prepare: func(p *registrytest.Pushed) { p.CutAt = 256 << 10 }, opened: 1},
		{name: "forgets the upload once", body: large, prepare: forgetsUpload(), requests: "POST PATCH POST PATCH PUT"},
		{name: "busy once", body: small, prepare: answersOnce(http.MethodPut, http.StatusServiceUnavailable), requests: "POST PUT PATCH PUT", opened: 1},
		{name: "too many requests once", body: large, prepare: answersOnce(http.MethodPost, http.StatusTooManyRequests), requests: "POST POST PATCH PUT", opened: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pushed(t)
			if c.prepare != nil {
				c.prepare(p)
			}
			var sent []string
			var mu sync.Mutex
			o := Options{Retries: 8, OnRequest: func(r Request) {
				mu.Lock()
				defer mu.Unlock()
				if r.Method != http.MethodHead && r.Method != http.MethodGet {
					sent = append(sent, r.Method)
				}
			}}
			d := destination(t, p, o, "a/b:1")
			var opened int
			u := uploadOf(c.body, &opened)
			var furthest int64
			u.Sent = func(n int64) { furthest = n }
			got, err := d.Put(t.Context(), u)
			if err != nil || got != Sent {
				t.Fatalf("got %v, %v", got, err)
			}
			if !bytes.Equal(p.Blob("a/b", u.Descriptor.Digest), c.body) {
				t.Error("the registry has other bytes")
			}
			if furthest != int64(len(c.body)) {
				t.Errorf("told of %d bytes of %d", furthest, len(c.body))
			}
			if got := strings.Join(sent, " "); c.requests != "" && got != c.requests {
				t.Errorf("sent %s, want %s", got, c.requests)
			}
			if (c.opened > 0 || len(c.body) == 0) && opened > c.opened {
				t.Errorf("opened the blob %d times, want %d at most", opened, c.opened)
			}
			if got, err := d.Put(t.Context(), u); err != nil || got != Present {
				t.Errorf("again: %v, %v", got, err)
			}
		})
	}
}

// answersOnce has the first request of a method answered with a status.
func answersOnce(method string, status int) func(*registrytest.Pushed) {
	var once sync.Once
	return func(p *registrytest.Pushed) {
		p.Before = func(w http.ResponseWriter, r *http.Request) (answered bool) {
			if r.Method == method {
				once.Do(func() { w.WriteHeader(status); answered = true })
			}
			return answered
		}
	}
}

// forgetsUpload has the first PATCH fail, and the upload be unknown after it.
func forgetsUpload() func(*registrytest.Pushed) {
	var once sync.Once
	return func(p *registrytest.Pushed) {
		p.Before = func(w http.ResponseWriter, r *http.Request) (answered bool) {
			if r.Method == http.MethodPatch {
				once.Do(func() { http.NotFound(w, r); answered = true })
			}
			return answered
		}
	}
}

// TestPutGivesUp: what a registry takes and loses again, time after time, is no
// progress.
func TestPutGivesUp(t *testing.T) {
	p := pushed(t)
	p.CutAt, p.Forgets = 256<<10, true
	p.Before = func(w http.ResponseWriter, r *http.Request) bool {
		later := r.Method == http.MethodPatch && r.Header.Get("Content-Range") != "" && !strings.HasPrefix(r.Header.Get("Content-Range"), "0-")
		if later {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNotFound)
		}
		return later
	}
	var opened int
	_, err := destination(t, p, Options{Retries: 8}, "x").Put(t.Context(), uploadOf(noise(3<<20), &opened))
	wantError(t, err, ErrNetwork, "404")
}

func TestMount(t *testing.T) {
	t.Parallel()
	body := noise(1000)
	for _, c := range []struct {
		name   string
		mounts bool
		deny   bool // who may not read the other repository is denied
		from   string
		want   Outcome
		posts  int
	}{
		{"mounted", true, false, "other", Mounted, 1},
		{"turns into an upload", false, false, "other", Sent, 1},
		{"not there", true, false, "nowhere", Sent, 1},
		{"denied", true, true, "other", Sent, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pushed(t)
			var opened int
			if _, err := destination(t, p, Options{}, "other").Put(t.Context(), uploadOf(body, &opened)); err != nil {
				t.Fatal(err)
			}
			p.Requests()
			p.Mounts = c.mounts
			p.Before = func(w http.ResponseWriter, r *http.Request) bool {
				denied := c.deny && r.URL.Query().Get("from") != ""
				if denied {
					p.Requests()
					w.WriteHeader(http.StatusForbidden)
				}
				return denied
			}
			u := uploadOf(body, &opened)
			u.From = c.from
			if got, err := destination(t, p, Options{}, "new").Put(t.Context(), u); err != nil || got != c.want {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			if !bytes.Equal(p.Blob("new", u.Descriptor.Digest), body) {
				t.Error("the registry does not have the blob")
			}
		})
	}
}

// TestPutRefuses holds what is no fault of the connection: one line each, and
// nothing left that looks like a blob.
func TestPutRefuses(t *testing.T) {
	t.Parallel()
	body := noise(2 << 20)
	for _, c := range []struct {
		name    string
		answer  func(w http.ResponseWriter, r *http.Request) bool
		open    func(context.Context) (io.ReadCloser, error)
		kind    errkind.Kind
		message string
	}{
		{name: "401", answer: says(http.MethodPost, 401), kind: errkind.Denied, message: "401"},
		{name: "403", answer: says(http.MethodPost, 403), kind: errkind.Denied, message: "403"},
		{name: "405", answer: says(http.MethodPost, 405), kind: errkind.Denied, message: "takes no pushes"},
		{name: "413", answer: says(http.MethodPatch, 413), kind: errkind.Denied, message: "a quota or a limit of size"},
		{name: "429", answer: says(http.MethodPost, 429), kind: errkind.Network, message: "429"},
		{name: "a redirect", answer: says(http.MethodPatch, 307), kind: errkind.Network, message: "a push follows no redirect"},
		{name: "no Location", answer: says(http.MethodPost, 202), kind: errkind.Network, message: "no Location"},
		{
			name: "another source", open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)-1]), failing{ErrMismatch})), nil
			}, kind: errkind.Mismatch, message: "does not match",
		},
		{
			name: "a short source", open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(body[:100])), nil
			}, kind: errkind.Failure, message: "unexpected EOF",
		},
		{
			name: "a long source", open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(body), strings.NewReader("x"))), nil
			}, kind: errkind.Failure, message: "more than",
		},
		{
			name: "no source", open: func(context.Context) (io.ReadCloser, error) { return nil, ErrNotFound },
			kind: errkind.NotFound, message: "not found",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pushed(t)
			p.Before = c.answer
			var opened int
			u := uploadOf(body, &opened)
			if c.open != nil {
				u.Open = c.open
			}
			_, err := destination(t, p, Options{}, "x").Put(t.Context(), u)
			if c.kind == errkind.Failure {
				err = errkind.With(errkind.Failure, err)
			}
			wantError(t, err, c.kind, c.message)
			if got := errkind.Of(err); got != c.kind {
				t.Errorf("got kind %v, want %v", got, c.kind)
			}
			if p.Blob("x", u.Descriptor.Digest) != nil {
				t.Error("the registry has the blob")
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// says has each request of a method answered so.
func says(method string, status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method {
			return false
		}
		if status == http.StatusTemporaryRedirect {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		return true
	}
}

func TestPutManifest(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	sent := []byte(nil)
	for _, c := range []struct {
		name    string
		before  func(w http.ResponseWriter, r *http.Request) bool
		raw     []byte
		kind    errkind.Kind // 0 is success
		message string
	}{
		{name: "works", raw: raw},
		{name: "other bytes", raw: raw[1:], kind: errkind.Mismatch, message: "not those"},
		{name: "immutable", raw: raw, before: says(http.MethodPut, 409), kind: errkind.Denied, message: "does not let the tag 1 be changed"},
		{name: "immutable, by precondition", raw: raw, before: says(http.MethodPut, 412), kind: errkind.Denied, message: "does not let the tag 1 be changed"},
		{name: "claims and does not keep", raw: raw, before: says(http.MethodPut, 201), kind: errkind.NotFound, message: "read back what was pushed"},
		{name: "keeps something else", raw: raw, before: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				_, _ = w.Write(append([]byte{' '}, raw[1:]...))
			}
			return r.Method == http.MethodGet
		}, kind: errkind.Mismatch, message: "read back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pushed(t)
			p.Before = c.before
			d := destination(t, p, Options{Retries: -1}, "x")
			_, err := d.PutManifest(t.Context(), desc, c.raw, "1")
			if c.kind == 0 {
				sent = p.Blob("x", desc.Digest)
				if err != nil || !bytes.Equal(sent, raw) || p.Tagged("x", "1") != desc.Digest {
					t.Errorf("got %v, %q", err, sent)
				}
				return
			}
			wantError(t, err, c.kind, c.message)
		})
	}
}

// TestManifestOfUnknownSize reads a manifest back that a HEAD has described without
// its size, or with a wrong one.
func TestManifestOfUnknownSize(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	p := pushed(t)
	d := destination(t, p, Options{Retries: -1}, "x")
	if _, err := d.PutManifest(t.Context(), desc, raw, "1"); err != nil {
		t.Fatal(err)
	}
	p.Before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Docker-Content-Digest", desc.Digest.String())
		return r.Method == http.MethodHead // no Content-Length
	}
	described, err := d.Describe(t.Context(), "1")
	if err != nil || described.Size != -1 {
		t.Fatalf("got %+v, %v", described, err)
	}
	if got, err := d.Manifest(t.Context(), described); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("got %q, %v", got, err)
	}
	described.Digest = digest.FromBytes(raw[1:])
	if _, err := d.Manifest(t.Context(), described); err == nil {
		t.Error("a manifest of another digest was read")
	}
}

// TestPushAsksForPush: one token for reading and writing, and no more requests
// for it than needed. Each other repository that is mounted from is asked for too.
func TestPushAsksForPush(t *testing.T) {
	t.Parallel()
	p := pushed(t)
	var scopes []string
	var refused int
	p.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			scopes = append(scopes, strings.Join(r.URL.Query()["scope"], " "))
			fmt.Fprintf(w, `{"token":%q,"expires_in":300}`, "t"+strings.Join(r.URL.Query()["scope"], ""))
			return true
		}
		need := "repository:x:pull"
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			need += ",push"
		}
		if strings.Contains(r.Header.Get("Authorization"), need) {
			return false
		}
		refused++
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="s",scope=%q`, p.Host, need))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	var opened int
	d := destination(t, p, Options{}, "x")
	for _, body := range [][]byte{noise(10), noise(3 << 20)} {
		if _, err := d.Put(t.Context(), uploadOf(body, &opened)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"repository:x:pull,push"}; !slices.Equal(scopes, want) || refused != 1 {
		t.Errorf("asked for %q after %d refusals, want %q after one", scopes, refused, want)
	}
}

// TestPushGoesNowhereElse: no mirror is asked, and credentials do not follow an
// upload to another host.
func TestPushGoesNowhereElse(t *testing.T) {
	t.Parallel()
	var strangers []string
	var secret []string
	other := pushed(t)
	p := pushed(t)
	other.Before = func(w http.ResponseWriter, r *http.Request) bool {
		strangers = append(strangers, r.Method)
		secret = append(secret, r.Header.Get("Authorization"))
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "http://"+other.Host+"/up")
		w.WriteHeader(map[string]int{http.MethodPatch: 202, http.MethodPut: 201}[r.Method])
		return true
	}
	p.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "http://"+other.Host+"/up?signed=1")
			w.WriteHeader(http.StatusAccepted)
		}
		return r.Method == http.MethodPost
	}
	o := Options{Logins: map[string]Login{p.Host: {Username: "u", Password: "secret"}, other.Host: {Username: "u", Password: "secret"}}}
	var opened int
	if _, err := destination(t, p, o, "x").Put(t.Context(), uploadOf(noise(3<<20), &opened)); err != nil {
		t.Error(err)
	}
	if got := strings.Join(strangers, " "); got != "PATCH PUT" || strings.Join(secret, "") != "" {
		t.Errorf("sent %s with %q", got, secret)
	}
	ref, err := Parse("reg.example/x")
	if err != nil {
		t.Fatal(err)
	}
	public := quick(Options{Retries: -1, Transport: answersWith(func(r *http.Request) *http.Response {
		if r.Method == http.MethodPost {
			return response(r, http.StatusAccepted, "Location", "https://10.0.0.1/up")
		}
		return response(r, http.StatusNotFound)
	})})
	d, err := New(public).Destination(ref)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Put(t.Context(), uploadOf(noise(3<<20), &opened))
	wantError(t, err, ErrNetwork, "which is public, leads to 10.0.0.1")
}

// answersWith is a network of one's own.
type answersWith func(*http.Request) *http.Response

func (a answersWith) RoundTrip(req *http.Request) (*http.Response, error) { return a(req), nil }

func response(req *http.Request, status int, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: req}
	for i := 0; i+1 < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

func TestDestinationOfFiles(t *testing.T) {
	t.Parallel()
	ref, err := Parse("oci:" + hello)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(quick(Options{})).Destination(ref); !errors.Is(err, ErrReference) {
		t.Errorf("got %v", err)
	}
}
