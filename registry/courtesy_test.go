// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// before answers some requests in the registry's place.
func before(answers func(w http.ResponseWriter, r *http.Request) bool) func(http.Handler) http.Handler {
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !answers(w, r) {
				inner.ServeHTTP(w, r)
			}
		})
	}
}

// TestHeadIsACourtesy: whatever a registry says to a HEAD, what it says to a
// GET counts.
func TestHeadIsACourtesy(t *testing.T) {
	t.Parallel()
	code := func(n int) http.HandlerFunc { return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) } }
	header := func(name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			w.Header().Set("Content-Length", "7")
			w.Header().Set("Docker-Content-Digest", "sha256:"+someHex)
			w.Header().Del(name)
			if value != "" {
				w.Header().Set(name, value)
			}
		}
	}
	for name, head := range map[string]http.HandlerFunc{
		"400": code(400), "403": code(403), "404": code(404), "405": code(405), "501": code(501), "500": code(500),
		"a redirect to what was signed for GET": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/signed-for-GET", http.StatusTemporaryRedirect)
		},
		"nothing":            func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no digest":          header("Docker-Content-Digest", ""),
		"a wrong digest":     header("Docker-Content-Digest", "sha256:xyz"),
		"no type":            header("Content-Type", ""),
		"a page's type":      header("Content-Type", "text/html"),
		"no length":          header("Content-Length", "0"),
		"an encoded length":  header("Content-Encoding", "gzip"),
		"an enormous length": header("Content-Length", "99999999999"),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodHead {
					return false
				}
				if r.URL.Path == "/signed-for-GET" {
					w.WriteHeader(http.StatusForbidden)
				} else {
					head(w, r)
				}
				return true
			}))
			desc, err := open(t, New(plain(s)), s.host+"/library/hello").Describe(t.Context())
			if err != nil || desc.Digest != s.top || desc.MediaType != ocispec.MediaTypeImageIndex || desc.Size < 100 {
				t.Errorf("got %+v, %v, want %s", desc, err, s.top)
			}
		})
	}
	t.Run("another length", func(t *testing.T) {
		var top digest.Digest
		s := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				w.Header().Set("Docker-Content-Digest", top.String())
				w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
				w.Header().Set("Content-Length", "3")
			}
			return r.Method == http.MethodHead
		}))
		top = s.top
		src := open(t, New(plain(s)), s.host+"/library/hello")
		if _, err := src.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
		desc, raw, err := src.Root(t.Context())
		if err != nil || desc.Digest != s.top || desc.Size != int64(len(raw)) {
			t.Errorf("got %+v, %v", desc, err)
		}
	})
}

// TestRangesAreACourtesy: what refuses a range may send the whole.
func TestRangesAreACourtesy(t *testing.T) {
	t.Parallel()
	for _, code := range []int{400, 403, 404, 405, 406, 412, 416, 500, 501} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			h := &hostile{body: noise(testSize), answer: func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Header.Get("Range") != "":
					w.WriteHeader(code)
				case n == 1:
					h.honest(cut(w, testSize/2), r)
				default:
					h.honest(w, r)
				}
			}}
			got, err := h.fetch(t, Options{})
			if err != nil || !bytes.Equal(got, h.body) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
}

// TestBlobByAProxy: what a proxy calls non-authoritative the digest judges.
func TestBlobByAProxy(t *testing.T) {
	t.Parallel()
	h := &hostile{body: noise(testSize), answer: func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNonAuthoritativeInfo)
		_, _ = w.Write(h.body)
	}}
	if got, err := h.fetch(t, Options{}); err != nil || !bytes.Equal(got, h.body) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// TestRegistryBehindARedirect: the challenge of the registry that one was led
// to is answered there, and by nobody.
func TestRegistryBehindARedirect(t *testing.T) {
	for name, scope := range map[string]string{"with a scope": `,scope="repository:library/hello:pull"`, "without": ""} {
		t.Run(name, func(t *testing.T) {
			ts := &tokens{}
			ts.Server = httptest.NewServer(ts)
			defer ts.Close()
			var strangers []string // what else than an own token came
			behind := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
				a := r.Header.Get("Authorization")
				if strings.HasPrefix(a, "Bearer token-") {
					return false
				}
				if strangers = append(strangers, a); r.Header.Get("X-Mirror-Key") != "" {
					t.Error("the mirror's own header came")
				}
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+ts.URL+`/token",service="s"`+scope)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}))
			front := serve(t, func(http.Handler) http.Handler {
				return basicOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, behind.URL+r.URL.Path, http.StatusTemporaryRedirect)
				}))
			})
			o := plain(front)
			o.AuthFile = authFile(t, front.host, "alice", "secret")
			src := open(t, New(o), front.host+"/library/hello")
			if desc, _, err := src.Root(t.Context()); err != nil || desc.Digest != behind.top {
				t.Fatalf("got %+v, %v", desc, err)
			}
			desc, body := helloLayer(t)
			if got, err := readAll(t.Context(), src, desc); err != nil || !bytes.Equal(got, body) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			for _, a := range strangers {
				if a != "" {
					t.Errorf("%q was sent to the other registry", a)
				}
			}
			if ts.given != 1 || ts.users[0] != "" || ts.scopes[0] != "repository:library/hello:pull" {
				t.Errorf("%d tokens, users %q, scopes %q", ts.given, ts.users, ts.scopes)
			}
		})
	}
}

func TestRegistryBehindARedirectWantsAUser(t *testing.T) {
	t.Parallel()
	behind := serve(t, basicOnly)
	front := serve(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, behind.URL+r.URL.Path, http.StatusTemporaryRedirect)
		})
	})
	o := plain(front)
	o.AuthFile = authFile(t, behind.host, "alice", "secret") // which nobody named
	_, _, err := open(t, New(o), front.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrDenied, "401")
	if got := behind.asked(); len(got) != 1 {
		t.Errorf("got requests %q, want one", got)
	}
}

func encoded(t *testing.T, encoding string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch encoding {
	case "gzip", "x-gzip":
		w := gzip.NewWriter(&out)
		_, _ = w.Write(b)
		w.Close()
	case "deflate":
		w := zlib.NewWriter(&out)
		_, _ = w.Write(b)
		w.Close()
	case "zstd":
		w, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(b)
		w.Close()
	}
	return out.Bytes()
}

// TestEncodings: bytes that have the digest as they were sent are taken so, and
// else decoded. In short a layer and a config are sent, in full a plain layer, too.
func TestEncodings(t *testing.T) {
	t.Parallel()
	layer := imagetest.Gzip(imagetest.Tar(imagetest.File("a", string(noise(5000)))))
	config := imagetest.JSON(ocispec.Image{Author: "somebody"})
	for _, kind := range []struct {
		name      string
		body      []byte
		mediaType string
	}{
		{"a layer", layer, ocispec.MediaTypeImageLayerGzip},
		{"a plain layer", imagetest.Tar(imagetest.File("a", string(noise(5000)))), ocispec.MediaTypeImageLayer},
		{"a config", config, ocispec.MediaTypeImageConfig},
	} {
		if !full() && kind.mediaType == ocispec.MediaTypeImageLayer {
			continue
		}
		desc := describe(kind.body)
		desc.MediaType = kind.mediaType
		for _, encoding := range []string{"identity", "x-gzip", "gzip", "deflate", "zstd"} {
			for _, way := range []string{"as sent", "around it"} {
				if way == "around it" && encoding == "identity" {
					continue
				}
				for _, length := range []bool{true, false} {
					t.Run(fmt.Sprint(kind.name, " ", encoding, " ", way, " length ", length), func(t *testing.T) {
						sent := kind.body
						if way == "around it" {
							sent = encoded(t, encoding, kind.body)
						} else if !length && (encoding == "deflate" || encoding == "zstd" || kind.mediaType != ocispec.MediaTypeImageLayerGzip) && encoding != "identity" {
							t.Skip("nothing tells")
						}
						s := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
							w.Header().Set("Content-Encoding", encoding)
							if length {
								w.Header().Set("Content-Length", fmt.Sprint(len(sent)))
							} else {
								w.(http.Flusher).Flush()
							}
							_, _ = w.Write(sent)
							return true
						}))
						got, err := readAll(t.Context(), open(t, New(plain(s)), s.host+"/library/hello"), desc)
						if err != nil || !bytes.Equal(got, kind.body) {
							t.Errorf("got %d bytes, %v, want %d", len(got), err, len(kind.body))
						}
					})
				}
			}
		}
	}
}

func TestEncodedManifests(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", "deflate", "zstd"} {
		for _, says := range []bool{true, false} { // its digest
			t.Run(fmt.Sprint(encoding, says), func(t *testing.T) {
				s := serve(t, func(inner http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						rec := httptest.NewRecorder()
						inner.ServeHTTP(rec, r)
						w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
						if says {
							w.Header().Set("Docker-Content-Digest", rec.Header().Get("Docker-Content-Digest"))
						}
						w.Header().Set("Content-Encoding", encoding)
						w.WriteHeader(rec.Code)
						_, _ = w.Write(encoded(t, encoding, rec.Body.Bytes()))
					})
				})
				src := open(t, New(plain(s)), s.host+"/library/hello")
				desc, raw, err := src.Root(t.Context())
				if err != nil || desc.Digest != s.top || digest.FromBytes(raw) != s.top {
					t.Fatalf("got %+v, %v", desc, err)
				}
				if got, err := open(t, New(plain(s)), s.host+"/library/hello@"+s.top.String()).Manifest(t.Context(), desc); err != nil || !bytes.Equal(got, raw) {
					t.Errorf("by digest: %v", err)
				}
			})
		}
	}
}

// TestEncodedBomb: what decodes to more than a manifest may have is refused.
func TestEncodedBomb(t *testing.T) {
	t.Parallel()
	bomb := encoded(t, "gzip", make([]byte, MaxManifest+1))
	s := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
		return true
	}))
	_, _, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrNetwork, "more than")
}

// TestContentTypes: the document decides where the header says nothing, or as
// much.
func TestContentTypes(t *testing.T) {
	t.Parallel()
	const list, v2 = "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json"
	for contentType, words := range map[string]string{
		"binary/octet-stream": "", "text/html; charset=utf-8": "", "application/json": "", list: "",
		v2: "Content-Type " + v2 + " is wrong", ocispec.MediaTypeImageManifest: "is wrong",
	} {
		t.Run(contentType, func(t *testing.T) {
			s := serve(t, func(inner http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					rec := httptest.NewRecorder()
					inner.ServeHTTP(rec, r)
					w.Header().Set("Content-Type", contentType)
					w.Header().Set("Docker-Content-Digest", rec.Header().Get("Docker-Content-Digest"))
					_, _ = w.Write(rec.Body.Bytes())
				})
			})
			desc, _, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
			if words != "" {
				wantError(t, err, ErrNetwork, words)
			} else if err != nil || desc.MediaType != ocispec.MediaTypeImageIndex {
				t.Errorf("got %+v, %v", desc, err)
			}
		})
	}
}

// TestEmbeddedConfig: what the descriptor holds is not asked for, if it is
// what it describes.
func TestEmbeddedConfig(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	src := open(t, New(plain(s)), s.host+"/library/hello")
	desc := describe([]byte("{}"))
	desc.Data = []byte("{}")
	if raw, err := src.Config(t.Context(), desc); err != nil || string(raw) != "{}" {
		t.Errorf("got %q, %v", raw, err)
	}
	if raw, err := readAll(t.Context(), src, desc); err != nil || string(raw) != "{}" {
		t.Errorf("as a blob: got %q, %v", raw, err)
	}
	if got := s.asked(); len(got) != 0 {
		t.Errorf("got requests %q, want none", got)
	}
	desc.Data = []byte("[]")
	_, err := src.Config(t.Context(), desc)
	wantError(t, err, ErrNotFound)
	_, err = readAll(t.Context(), src, desc)
	wantError(t, err, ErrNotFound)
}

// TestWarningsAreTold: once, escaped, and without what was sent.
func TestWarningsAreTold(t *testing.T) {
	t.Parallel()
	s := serve(t, func(inner http.Handler) http.Handler {
		return basicOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			w.Header().Add("Warning", `299 - "rate limit soon"`)
			w.Header().Add("Warning", `299 - "`+password+"\u202e"+`"`)
			inner.ServeHTTP(w, r)
		}))
	})
	o := plain(s)
	o.AuthFile = authFile(t, s.host, "alice", "secret")
	var told []string
	o.OnWarning = func(text string) { told = append(told, text) }
	c := New(o)
	for range 3 {
		if _, _, err := open(t, c, s.host+"/library/hello").Root(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{s.host + " warns: rate limit soon", s.host + ` warns: [hidden]\u202e`}
	if !slices.Equal(told, want) {
		t.Errorf("got %q, want %q", told, want)
	}
}

func TestPingTellsOfCredentials(t *testing.T) {
	t.Parallel()
	s := serve(t, basicOnly)
	for _, known := range []bool{false, true} {
		o := plain(s)
		if known {
			o.AuthFile = authFile(t, s.host, "alice", "secret")
		}
		p, err := New(o).Ping(t.Context(), s.host)
		want := answerOf(known, true)
		if err != nil || p.Credentials != want {
			t.Errorf("got %+v, %v, want %s", p, err, want)
		}
	}
	open := serve(t, nil)
	if p, err := New(plain(open)).Ping(t.Context(), open.host); err != nil || p.Credentials != Unknown {
		t.Errorf("got %+v, %v", p, err)
	}
}

// TestPingWithoutTheAPIsAnswer: an image is served though /v2/ is not.
func TestPingWithoutTheAPIsAnswer(t *testing.T) {
	t.Parallel()
	for _, code := range []int{403, 404, 405, 501} {
		s := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				w.WriteHeader(code)
			}
			return r.URL.Path == "/v2/"
		}))
		p, err := New(plain(s)).Ping(t.Context(), s.host+"/library/hello")
		if err != nil || p.OCI != Yes || p.URL != s.URL {
			t.Errorf("%d: got %+v, %v", code, p, err)
		}
		_, err = New(plain(s)).Ping(t.Context(), s.host)
		wantError(t, err, ErrNetwork)
	}
}

// TestErrorsSayNothingTwice: the digest of a blob is in a line once.
func TestErrorsSayNothingTwice(t *testing.T) {
	t.Parallel()
	s := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusNotFound)
		return true
	}))
	desc, _ := helloLayer(t)
	for _, ref := range []string{s.host + "/library/hello", "oci:" + imagetest.NewLayout(t.TempDir()).Dir} {
		src := open(t, New(plain(s)), ref)
		_, err := src.Blob(t.Context(), desc)
		_, cerr := src.Config(t.Context(), desc)
		_, merr := src.Manifest(t.Context(), desc)
		for _, err := range []error{err, cerr, merr} {
			wantError(t, err, ErrNotFound)
			if n := strings.Count(err.Error(), desc.Digest.Encoded()); n != 1 {
				t.Errorf("got %q, which has the digest %d times", err, n)
			}
		}
	}
}

// TestAPageIsNoManifest: a portal that asks to sign in is called one.
func TestAPageIsNoManifest(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"text/html", "application/octet-stream"} {
		s := serve(t, answer(200, map[string]string{"Content-Type": contentType}, "<!DOCTYPE html><title>Sign in</title>"))
		_, _, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
		wantError(t, err, ErrNetwork, s.host+"/library/hello:latest", "no manifest but "+contentType)
	}
}
