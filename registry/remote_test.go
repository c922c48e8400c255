// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

func TestRootIsOneRequest(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	var seen []Request
	o := plain(s)
	o.OnRequest = func(r Request) { seen = append(seen, r) }
	src := open(t, New(o), s.host+"/library/hello")
	desc, raw, err := src.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(raw); got != s.top || desc.Digest != s.top || desc.Size != int64(len(raw)) {
		t.Errorf("got %s, %+v, want %s", got, desc, s.top)
	}
	if desc.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("got media type %q", desc.MediaType)
	}
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := src.Describe(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := src.Manifest(t.Context(), desc); err != nil {
		t.Error(err)
	}
	want := []string{"GET /v2/library/hello/manifests/latest"}
	if got := s.asked(); !slices.Equal(got, want) {
		t.Errorf("got requests %q, want %q", got, want)
	}
	if len(seen) != 1 || seen[0].Status != 200 || !strings.HasPrefix(seen[0].URL, "http://"+s.host) {
		t.Errorf("OnRequest got %+v", seen)
	}
}

func TestResolveIsOneHead(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	src := open(t, New(plain(s)), s.host+"/library/hello")
	desc, err := src.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if desc.Digest != s.top || desc.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("got %+v, want %s", desc, s.top)
	}
	// Wherever the tag is now, the Source reads what it resolved.
	other := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	put(t, s.Client(), s.URL+"/v2/library/hello/manifests/latest", ocispec.MediaTypeImageIndex, other)
	s.mu.Lock()
	s.requests = slices.DeleteFunc(s.requests, func(r string) bool { return strings.HasPrefix(r, "PUT") })
	s.mu.Unlock()
	got, _, err := src.Root(t.Context())
	if err != nil || got.Digest != s.top {
		t.Errorf("got %+v, %v, want %s", got, err, s.top)
	}
	want := []string{"HEAD /v2/library/hello/manifests/latest", "GET /v2/library/hello/manifests/" + s.top.String()}
	if got := s.asked(); !slices.Equal(got, want) {
		t.Errorf("got requests %q, want %q", got, want)
	}
}

// One after the other, all that is asked of a host goes over one connection,
// under one name. net/http gives one up whose request was not seen to be written
// within 50 ms, which a busy machine may take: so one try of several is enough.
func TestOneConnection(t *testing.T) {
	for want, agent := range map[string]string{"layerctl": "", "test/1": "test/1"} {
		var tries []int
		for len(tries) < 5 && !slices.Contains(tries, 1) {
			tries = append(tries, connectionsTaken(t, agent, want))
		}
		if !slices.Contains(tries, 1) {
			t.Errorf("got %d connections for seven requests, want one", tries)
		}
	}
}

// connectionsTaken asks for a bit of everything, and returns over how many
// connections; want is who is to ask.
func connectionsTaken(t *testing.T, agent, want string) int {
	t.Helper()
	connections, agents := map[string]bool{}, map[string]bool{}
	s := serve(t, func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			connections[r.RemoteAddr], agents[r.UserAgent()] = true, true
			inner.ServeHTTP(w, r)
		})
	})
	o := plain(s)
	o.UserAgent = agent
	src := open(t, New(o), s.host+"/library/hello")
	if _, err := src.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	top, _, err := src.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	desc, _ := helloLayer(t)
	for range 3 {
		if _, err := readAll(t.Context(), src, desc); err != nil {
			t.Fatal(err)
		}
	}
	none := top
	none.Digest = digest.FromString("none")
	_, err = src.Manifest(t.Context(), none)
	wantError(t, err, ErrNotFound)
	if _, err := readAll(t.Context(), src, desc); err != nil {
		t.Fatal(err)
	}
	if len(agents) != 1 || !agents[want] {
		t.Errorf("got user agents %v, want %q", agents, want)
	}
	return len(connections)
}

func TestBlobAndConfig(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	src := open(t, New(plain(s)), s.host+"/library/hello")
	desc, body := helloLayer(t)
	got, err := readAll(t.Context(), src, desc)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(body))
	}
	// A config is a blob of its own limit.
	if got, err := src.Config(t.Context(), desc); err != nil || !bytes.Equal(got, body) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(body))
	}
}

func TestRemoteErrors(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := New(plain(s))
	desc, _ := helloLayer(t)
	none := desc
	none.Digest = digest.FromString("none")
	t.Run("a missing tag", func(t *testing.T) {
		_, _, err := open(t, c, s.host+"/library/hello:none").Root(t.Context())
		wantError(t, err, ErrNotFound, "read "+s.host+"/library/hello:none", "GET http://"+s.host, "404", "MANIFEST_UNKNOWN")
	})
	t.Run("a missing tag, asked for by HEAD", func(t *testing.T) {
		_, err := open(t, c, s.host+"/library/hello:none").Describe(t.Context())
		wantError(t, err, ErrNotFound, "GET http://"+s.host, "MANIFEST_UNKNOWN")
	})
	t.Run("a missing blob", func(t *testing.T) {
		_, err := readAll(t.Context(), open(t, c, s.host+"/library/hello"), none)
		wantError(t, err, ErrNotFound, none.Digest.String(), "404")
	})
	t.Run("a descriptor that is none", func(t *testing.T) {
		src := open(t, c, s.host+"/library/hello")
		for _, d := range []ocispec.Descriptor{
			{Digest: "sha256:../../x"}, {}, {Digest: digest.Digest("md5:" + someHex[:32])},
			{Digest: desc.Digest, Size: -1},
		} {
			_, err := src.Blob(t.Context(), d)
			wantError(t, err, ErrMalformed)
		}
		_, err := src.Manifest(t.Context(), ocispec.Descriptor{Digest: desc.Digest, Size: MaxManifest + 1})
		wantError(t, err, ErrMalformed, "limit")
	})
	t.Run("a size that is wrong", func(t *testing.T) {
		src := open(t, c, s.host+"/library/hello")
		for _, n := range []int64{-1, +1} {
			d := desc
			d.Size += n
			_, err := readAll(t.Context(), src, d)
			wantError(t, err, ErrMismatch, d.Digest.String())
		}
	})
}

func TestNobodyThere(t *testing.T) {
	host, release := registrytest.ClosedPort()
	defer release()
	_, _, err := open(t, New(quick(Options{})), host+"/a").Root(t.Context())
	wantError(t, err, ErrNetwork, "GET https://"+host, "connection refused")
}

// A registry of this machine that speaks no TLS is asked over http, and the
// user is told; no other is, nor one whose certificates are configured.
func TestPlainHTTPIsFallenBackToOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, host string
		certs      bool // are configured for it
		falls      bool
	}{
		{"an address", "127.0.0.1", false, true},
		{"another address of the same machine", "127.1.2.3", false, true},
		{"its name", "localhost", false, true},
		{"the name of a host", "registry.example", false, false},
		{"an address of another machine", "10.0.0.1", false, false},
		{"certificates are configured", "127.0.0.1", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, nil)
			_, port, _ := net.SplitHostPort(s.host)
			host := net.JoinHostPort(c.host, port)
			var told []string
			o := quick(Options{HostsDir: t.TempDir(), OnWarning: func(text string) { told = append(told, text) }})
			o.AuthFile = filepath.Join(t.TempDir(), "auth.json")
			// All names and addresses lead to the server.
			o.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", s.host)
			}}
			if c.certs {
				dir := filepath.Join(o.HostsDir, host)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte("skip_verify = true\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			client := New(o)
			_, _, err := open(t, client, host+"/library/hello").Root(t.Context())
			if c.falls {
				if err != nil || len(told) != 1 || !strings.Contains(told[0], host+" is asked over http") {
					t.Errorf("got error %v, and was told %q", err, told)
				}
				if err := client.Login(t.Context(), host, "u", "p"); err != nil {
					t.Errorf("log in: %v", err)
				}
				if ping, err := New(o).Ping(t.Context(), host); err != nil || ping.URL != "http://"+host {
					t.Errorf("ping: got %q, %v", ping.URL, err)
				}
				return
			}
			wantError(t, err, ErrNetwork, host+" speaks http, not https")
			var plain *PlainHTTPError
			if !errors.As(err, &plain) || plain.Host != host {
				t.Errorf("got %+v, want the host %s", plain, host)
			}
			if got := s.asked(); len(got) != 0 {
				t.Errorf("got requests %q over http, want none", got)
			}
		})
	}
}

// Requests that find out at the same time that there is no TLS all go on over http,
// and the user is told once.
func TestPlainHTTPIsFallenBackToByAll(t *testing.T) {
	t.Parallel()
	const requests = 4
	s := serve(t, nil)
	var told atomic.Int32
	o := quick(Options{HostsDir: t.TempDir(), OnWarning: func(string) { told.Add(1) }})
	o.AuthFile = filepath.Join(t.TempDir(), "auth.json")
	var dials atomic.Int32
	var all sync.WaitGroup
	all.Add(requests)
	o.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) <= requests {
			all.Done()
			all.Wait()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	client := New(o)
	var group errgroup.Group
	for range requests {
		source := open(t, client, s.host+"/library/hello")
		group.Go(func() error { _, _, err := source.Root(t.Context()); return err })
	}
	if err := group.Wait(); err != nil || told.Load() != 1 {
		t.Errorf("got error %v, and was told %d times", err, told.Load())
	}
}

func TestUnknownCertificateIsFinal(t *testing.T) {
	t.Parallel()
	s := serveWith(t, nil, (*httptest.Server).StartTLS)
	var seen int
	o := quick(Options{OnRequest: func(Request) { seen++ }})
	_, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrNetwork, "certificate")
	if seen != 1 {
		t.Errorf("tried %d times, want once", seen)
	}
}

// answer stands before a registry and changes what it says to GET requests.
func answer(status int, header map[string]string, body string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for k, v := range header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			if r.Method != http.MethodHead {
				_, _ = w.Write([]byte(body))
			}
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	index := ocispec.MediaTypeImageIndex
	tests := []struct {
		name   string
		status int
		header map[string]string
		body   string
		kind   error
		words  string
	}{
		{"another digest than it says", 200, map[string]string{"Docker-Content-Digest": "sha256:" + someHex, "Content-Type": index}, "{}", ErrMismatch, someHex},
		{"an encoding", 200, map[string]string{"Content-Encoding": "gzip"}, "{}", ErrNetwork, "Content-Encoding"},
		{"escapes in an error", 400, nil, "\x1b[31mred\nsecond line", ErrNetwork, `\x1b[31mred\nsecond`},
		{"an endless error", 404, nil, strings.Repeat("x", 1<<20), ErrNotFound, "xxx…"},
		{"a page for browsers", 403, nil, "<html>much</html>", ErrDenied, "403 Forbidden"},
		{"an endless manifest", 200, nil, strings.Repeat(" ", MaxManifest+1), ErrMalformed, "more than"},
		{"a redirect to nowhere", 307, nil, "", ErrNetwork, ""},
		{"a strange success", 204, nil, "", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, answer(tt.status, tt.header, tt.body))
			_, raw, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
			if tt.kind == nil {
				if err != nil || len(raw) != 0 {
					t.Errorf("got %q, %v", raw, err)
				}
				return
			}
			wantError(t, err, tt.kind, tt.words)
			if len(err.Error()) > 1000 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

// A header that is no digest is as good as none: the bytes have one.
func TestDigestHeaderThatIsNone(t *testing.T) {
	t.Parallel()
	const body = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	for _, said := range []string{"", "latest", "sha256:../../etc", "sha256:" + strings.ToUpper(someHex), "md5:d41d8cd98f00b204e9800998ecf8427e", `"sha256:` + someHex + `"`} {
		s := serve(t, answer(200, map[string]string{"Docker-Content-Digest": said, "Content-Type": ocispec.MediaTypeImageIndex}, body))
		desc, raw, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
		if err != nil || string(raw) != body || desc.Digest != digest.FromString(body) {
			t.Errorf("%q: got %+v, %v", said, desc, err)
		}
		if desc, err := open(t, New(plain(s)), s.host+"/library/hello").Describe(t.Context()); err != nil || desc.Digest != digest.FromString(body) {
			t.Errorf("%q: described as %+v, %v", said, desc, err)
		}
	}
}

func TestManifestIsVerified(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(200, nil, "{ }"))
	src := open(t, New(plain(s)), s.host+"/library/hello")
	_, err := src.Manifest(t.Context(), describe([]byte("{}!")))
	wantError(t, err, ErrMismatch, s.host)
	s = serve(t, answer(200, map[string]string{"Content-Type": ocispec.MediaTypeImageIndex}, "{}"))
	_, _, err = open(t, New(plain(s)), s.host+"/library/hello@sha256:"+someHex).Root(t.Context())
	wantError(t, err, ErrMismatch, someHex)
}

// An authority that a file names is trusted for every host.
func TestCAFiles(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	handler := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.host})
	secure := httptest.NewTLSServer(handler)
	t.Cleanup(secure.Close)
	host := strings.TrimPrefix(secure.URL, "https://")
	file := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	o := quick(Options{})
	_, _, err := open(t, New(o), host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrNetwork, "unknown authority")
	o.CAFiles = []string{file}
	if _, _, err := open(t, New(o), host+"/library/hello").Root(t.Context()); err != nil {
		t.Errorf("with the authority: %v", err)
	}
}
