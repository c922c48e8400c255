// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// mirrored are options by which host has mirrors, given as the body of its
// hosts.toml.
func mirrored(t *testing.T, host, hostsTOML string) Options {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, host), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, host, "hosts.toml"), []byte(hostsTOML), 0o644); err != nil {
		t.Fatal(err)
	}
	return quick(Options{HostsDir: dir, PlainHTTP: []string{host}})
}

func mirrors(all ...*served) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "[host.%q]\n", s.URL)
	}
	return b.String()
}

func TestMirrorsKilledInTurn(t *testing.T) {
	body := noise(1 << 20)
	const each = 300 << 10
	// Each but the last sends so much and is gone.
	dies := func(left int) *served {
		h := &hostile{body: body, answer: func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			if n > 1 && left > 0 {
				panic(http.ErrAbortHandler)
			}
			if left > 0 {
				w = cut(w, left)
			}
			h.honest(w, r)
		}}
		return serve(t, func(http.Handler) http.Handler { return h })
	}
	one, two, last := dies(each), dies(each), dies(-1)
	src := open(t, New(mirrored(t, last.host, mirrors(one, two))), last.host+"/library/hello")
	got, err := readAll(t.Context(), src, describe(body))
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	want := []Traffic{{Host: one.host, Bytes: each}, {Host: two.host, Bytes: each}, {Host: last.host, Bytes: int64(len(body) - 2*each)}}
	if got := src.Traffic(); !slices.Equal(got, want) {
		t.Errorf("got traffic %v, want %v", got, want)
	}
	// Both have failed: they are tried last for a while.
	for _, s := range []*served{one, two, last} {
		s.asked()
	}
	if _, err := readAll(t.Context(), src, describe(body)); err != nil {
		t.Fatal(err)
	}
	if n := len(one.asked()) + len(two.asked()); n != 0 {
		t.Errorf("mirrors that just failed were asked %d times", n)
	}
}

// A mirror that breaks off is asked again, also while it starts anew, before the
// registry is asked for the rest: the way there may be thin.
func TestMirrorThatComesBack(t *testing.T) {
	t.Parallel()
	body := noise(1 << 20)
	const each = 300 << 10
	mirror := serve(t, func(http.Handler) http.Handler {
		return &hostile{body: body, answer: func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			switch n {
			case 1:
				w = cut(w, each)
			case 2: // broken off again before a byte came
				panic(http.ErrAbortHandler)
			case 3:
				http.Error(w, "starting", http.StatusServiceUnavailable)
				return
			}
			h.honest(w, r)
		}}
	})
	origin := serve(t, func(http.Handler) http.Handler {
		return &hostile{body: body, answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) }}
	})
	src := open(t, New(mirrored(t, origin.host, mirrors(mirror))), origin.host+"/library/hello")
	got, err := readAll(t.Context(), src, describe(body))
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	want := []Traffic{{Host: mirror.host, Bytes: int64(len(body))}}
	if got := src.Traffic(); !slices.Equal(got, want) {
		t.Errorf("got traffic %v, want %v", got, want)
	}
}

func TestMirrorThatSendsOtherBytes(t *testing.T) {
	t.Parallel()
	desc, body := helloLayer(t)
	bad := serve(t, answer(200, nil, "{}"))
	origin := serve(t, nil)
	src := open(t, New(mirrored(t, origin.host, mirrors(bad))), origin.host+"/library/hello@"+origin.top.String())
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Errorf("manifest: %v", err)
	}
	got, err := readAll(t.Context(), src, desc)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("blob: got %d bytes, %v", len(got), err)
	}
	if len(bad.asked()) == 0 {
		t.Error("the mirror was not asked")
	}
}

// A mirror that sends bytes of the right number does not keep a config or a
// layer from coming: who reads once more gets them from another host.
func TestMirrorThatSendsAsManyOtherBytes(t *testing.T) {
	t.Parallel()
	layer, body := helloLayer(t)
	config := ocispec.Descriptor{Digest: layer.Digest, Size: layer.Size} // any blob is one here
	for name, read := range map[string]func(*Source) ([]byte, error){
		"config": func(src *Source) ([]byte, error) { return src.Config(t.Context(), config) },
		"layer": func(src *Source) ([]byte, error) {
			if _, err := readAll(t.Context(), src, layer); !errors.Is(err, ErrMismatch) {
				t.Errorf("the first time: %v", err)
			}
			return readAll(t.Context(), src, layer)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad := serve(t, answer(200, nil, strings.Repeat("x", len(body))))
			origin := serve(t, nil)
			src := open(t, New(mirrored(t, origin.host, mirrors(bad))), origin.host+"/library/hello@"+origin.top.String())
			if got, err := read(src); err != nil || !bytes.Equal(got, body) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if n := len(bad.asked()); n != 1 {
				t.Errorf("the mirror was asked %d times", n)
			}
		})
	}
}

func TestMirrorThatHasNothing(t *testing.T) {
	t.Parallel()
	empty := serve(t, answer(404, nil, ""))
	origin := serve(t, nil)
	c := New(mirrored(t, origin.host, mirrors(empty)))
	if _, _, err := open(t, c, origin.host+"/library/hello").Root(t.Context()); err != nil {
		t.Error(err)
	}
	_, _, err := open(t, c, origin.host+"/library/hello:none").Root(t.Context())
	wantError(t, err, ErrNotFound, origin.host, "MANIFEST_UNKNOWN")
}

func TestMirrorOfAnOriginThatIsGone(t *testing.T) {
	t.Parallel()
	mirror := serve(t, nil)
	src := open(t, New(mirrored(t, "gone.invalid", mirrors(mirror))), "gone.invalid/library/hello")
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMirrorIsToldTheNamespace(t *testing.T) {
	t.Parallel()
	var query, key string
	mirror := serve(t, func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			query, key = r.URL.RawQuery, r.Header.Get("X-Key")
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/proxy/hub")
			r.URL.Path = "/v2" + r.URL.Path
			inner.ServeHTTP(w, r)
		})
	})
	origin := serve(t, nil)
	toml := fmt.Sprintf("[host.%q]\noverride_path = true\n[host.%[1]q.header]\nx-key = \"k\"", mirror.URL+"/proxy/hub")
	src := open(t, New(mirrored(t, origin.host, toml)), origin.host+"/library/hello")
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "ns=" + strings.ReplaceAll(origin.host, ":", "%3A"); query != want || key != "k" {
		t.Errorf("got query %q and header %q, want %q and k", query, key, want)
	}
	if got := mirror.asked(); !slices.Equal(got, []string{"GET /proxy/hub/library/hello/manifests/latest"}) {
		t.Errorf("got %q", got)
	}
	if got := origin.asked(); len(got) != 0 {
		t.Errorf("the origin was asked %q", got)
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	mirror, origin := serve(t, nil), serve(t, nil)
	toml := fmt.Sprintf("[host.%q]\ncapabilities = [\"pull\"]", mirror.URL)
	src := open(t, New(mirrored(t, origin.host, toml)), origin.host+"/library/hello")
	if _, err := src.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := origin.asked(); !slices.Equal(got, []string{"HEAD /v2/library/hello/manifests/latest"}) {
		t.Errorf("the origin was asked %q, want the tag alone", got)
	}
	if got := mirror.asked(); !slices.Equal(got, []string{"GET /v2/library/hello/manifests/" + origin.top.String()}) {
		t.Errorf("the mirror was asked %q, want the digest alone", got)
	}
}

func TestMirrorsOwnSettings(t *testing.T) {
	t.Parallel()
	desc, body := helloLayer(t)
	t.Run("a certificate that is not verified", func(t *testing.T) {
		mirror := serveWith(t, nil, (*httptest.Server).StartTLS)
		toml := fmt.Sprintf("[host.%q]\nskip_verify = true", mirror.URL)
		src := open(t, New(mirrored(t, "gone.invalid", toml)), "gone.invalid/library/hello")
		if got, err := readAll(t.Context(), src, desc); err != nil || !bytes.Equal(got, body) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
	t.Run("but another's is", func(t *testing.T) {
		cdn, seen := storage(t, (*httptest.Server).StartTLS, body)
		mirror := serveWith(t, func(http.Handler) http.Handler {
			return http.RedirectHandler(cdn.URL, http.StatusFound)
		}, (*httptest.Server).StartTLS)
		toml := fmt.Sprintf("server = %q\nskip_verify = true", mirror.URL)
		src := open(t, New(mirrored(t, "gone.invalid", toml)), "gone.invalid/library/hello")
		_, err := readAll(t.Context(), src, desc)
		wantError(t, err, ErrNetwork, "certificate")
		if len(*seen) != 0 {
			t.Error("the storage was asked")
		}
	})
	t.Run("a CA file that is none", func(t *testing.T) {
		r, err := Parse("h.example/x")
		if err != nil {
			t.Fatal(err)
		}
		for _, toml := range []string{`ca = "/nonexistent"`, `ca = "/dev/null"`, `client = "/nonexistent"`, "x ="} {
			if _, err := New(mirrored(t, "h.example", toml)).Open(t.Context(), r); err == nil {
				t.Errorf("%s: got no error", toml)
			}
		}
	})
	t.Run("blocked", func(t *testing.T) {
		r, err := Parse("h.example/x")
		if err != nil {
			t.Fatal(err)
		}
		conf := writeFile(t, "registries.conf", []byte("[[registry]]\nlocation = \"h.example\"\nblocked = true\n"))
		_, err = New(quick(Options{RegistriesConf: conf})).Open(t.Context(), r)
		wantError(t, err, ErrDenied, "h.example", "blocked")
	})
	t.Run("credentials of k3s", func(t *testing.T) {
		s := serve(t, basicOnly)
		file := writeFile(t, "registries.yaml", fmt.Appendf(nil, "configs: {%q: {auth: {username: alice, password: secret}}}", s.host))
		o := plain(s)
		o.K3sRegistries = file
		if _, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
