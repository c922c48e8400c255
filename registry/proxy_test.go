// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/layerctl/layerctl/internal/registrytest"
)

// forward is a proxy that brings all requests to one server, for those who
// know its password.
type forward struct {
	*httptest.Server
	to string // host:port

	mu   sync.Mutex
	seen []string // "CONNECT example.com:443"
}

func startProxy(t *testing.T, to string) *forward {
	t.Helper()
	f := &forward{to: to}
	f.Server = httptest.NewServer(f)
	f.Config.Handler = f
	t.Cleanup(f.Close)
	return f
}

// as is the proxy's URL with credentials.
func (f *forward) as(user, password string) string {
	u, err := url.Parse(f.URL)
	if err != nil {
		panic(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

func (f *forward) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.seen
	f.seen = nil
	return seen
}

func (f *forward) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen = append(f.seen, r.Method+" "+r.Host)
	f.mu.Unlock()
	auth := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	if user, password, _ := auth.BasicAuth(); user != "alice" || password != "hunter2" {
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method == http.MethodConnect {
		f.tunnel(w)
		return
	}
	r.RequestURI, r.URL.Host = "", f.to
	r.Header.Del("Proxy-Authorization")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func (f *forward) tunnel(w http.ResponseWriter) {
	there, err := net.Dial("tcp", f.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(there, here)
		there.Close()
	}()
	_, _ = io.Copy(here, there)
	here.Close()
}

// through are options for a registry that only the proxy knows, and the log.
func through(t *testing.T, httpProxy, httpsProxy string, s *served) (Options, *bytes.Buffer) {
	t.Helper()
	for name, value := range map[string]string{"HTTP_PROXY": httpProxy, "HTTPS_PROXY": httpsProxy, "NO_PROXY": ""} {
		t.Setenv(name, value)
		t.Setenv(strings.ToLower(name), value)
	}
	toml := ""
	if c := s.Certificate(); c != nil {
		ca := writeFile(t, "ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
		toml = fmt.Sprintf("ca = %q", ca)
	}
	o := mirrored(t, "example.com", toml)
	if s.Certificate() != nil {
		o.PlainHTTP = nil
	}
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return o, &log
}

func TestProxies(t *testing.T) {
	desc, body := helloLayer(t)
	tests := []struct {
		name  string
		start func(*httptest.Server)
		want  string // all that the proxy is asked
	}{
		{"http", (*httptest.Server).Start, "GET example.com"},
		{"https", (*httptest.Server).StartTLS, "CONNECT example.com:443"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var leaked []string
			s := serveWith(t, func(inner http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					leaked = append(leaked, r.Header["Proxy-Authorization"]...)
					inner.ServeHTTP(w, r)
				})
			}, tt.start)
			f := startProxy(t, s.host)
			address := f.as("alice", "hunter2")
			o, log := through(t, address, address, s)
			src := open(t, New(o), "example.com/library/hello")
			if _, _, err := src.Root(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := readAll(t.Context(), src, desc); err != nil || !bytes.Equal(got, body) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			got := f.asked()
			if want := map[string]int{"http": 2, "https": 1}[tt.name]; len(got) != want {
				t.Errorf("the proxy was asked %q, want %d requests", got, want)
			}
			if got = slices.Compact(got); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("the proxy was asked %q, want %q", got, tt.want)
			}
			if len(leaked) != 0 {
				t.Errorf("the registry got the proxy's credentials: %q", leaked)
			}
			wantNoSecret(t, log.String())
		})
	}
}

func wantNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"hunter", "alice", "YWxpY2U6"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q tells %q", text, secret)
		}
	}
}

func TestProxiesThatFail(t *testing.T) {
	plainHTTP, encrypted := serve(t, nil), serveWith(t, nil, (*httptest.Server).StartTLS)
	nobody, release := registrytest.ClosedPort()
	defer release()
	tests := []struct {
		name  string
		proxy func(*forward) string
		kind  error
		words string
		asked int // at most
	}{
		{"another password", func(f *forward) string { return f.as("alice", "hunter3") }, ErrDenied, "407", 1},
		{"no password", func(f *forward) string { return f.URL }, ErrDenied, "407", 1},
		{"nobody there", func(*forward) string { return "http://alice:hunter2@" + nobody }, ErrNetwork, "connection refused", 0},
		{"no URL", func(*forward) string { return "http://alice:hunter 2@proxy:3128" }, ErrNetwork, "no http, https or socks5 URL", 0},
		{"another scheme", func(*forward) string { return "ftp://alice:hunter2@proxy" }, ErrNetwork, "no http, https or socks5 URL", 0},
		{"a way to nowhere", func(f *forward) string { f.to = nobody; return f.as("alice", "hunter2") }, ErrNetwork, "502", 4},
	}
	for _, tt := range tests {
		for _, s := range []*served{plainHTTP, encrypted} {
			t.Run(tt.name+" for "+s.URL[:strings.Index(s.URL, ":")], func(t *testing.T) {
				f := startProxy(t, s.host)
				address := tt.proxy(f)
				o, log := through(t, address, address, s)
				_, _, err := open(t, New(o), "example.com/library/hello").Root(t.Context())
				wantError(t, err, tt.kind, tt.words)
				wantNoSecret(t, fmt.Sprint(err)+log.String())
				if got := f.asked(); len(got) > tt.asked {
					t.Errorf("the proxy was asked %q", got)
				}
			})
		}
	}
}

// Each range has a tunnel of its own.
func TestRangesThroughAProxy(t *testing.T) {
	h := &hostile{body: noise(testSize), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) }}
	s := serveWith(t, func(http.Handler) http.Handler { return h }, (*httptest.Server).StartTLS)
	f := startProxy(t, s.host)
	o, log := through(t, "", f.as("alice", "hunter2"), s)
	got, err := readAll(t.Context(), open(t, New(inRanges(o, 4)), "example.com/library/hello"), describe(h.body))
	if err != nil || !bytes.Equal(got, h.body) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if n := len(f.asked()); n < 4 || n > testChunks {
		t.Errorf("got %d tunnels, want 4", n)
	}
	wantNoSecret(t, log.String())
}
