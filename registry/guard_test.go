// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trust makes the options accept a test server's certificate.
func trust(t *testing.T, o Options, s *served) Options {
	t.Helper()
	o.HostsDir = t.TempDir()
	dir := filepath.Join(o.HostsDir, s.host)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o644)); err != nil {
		t.Fatal(err)
	}
	return o
}

// storage is where a registry redirects to; it tells what it was sent.
func storage(t *testing.T, start func(*httptest.Server), body []byte) (*httptest.Server, *[]http.Header) {
	t.Helper()
	var seen []http.Header
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		_, _ = w.Write(body)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s)
	t.Cleanup(s.Close)
	return s, &seen
}

func redirectBlobs(to *string) func(http.Handler) http.Handler {
	return func(inner http.Handler) http.Handler {
		return basicOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, *to, http.StatusTemporaryRedirect)
				return
			}
			inner.ServeHTTP(w, r)
		}))
	}
}

func TestRedirectToStorage(t *testing.T) {
	t.Parallel()
	desc, body := helloLayer(t)
	cdn, seen := storage(t, (*httptest.Server).Start, body)
	to := strings.Replace(cdn.URL, "http://", "http://user:pass@", 1) + "/blob?signature=s3cret"
	s := serve(t, redirectBlobs(&to))
	o := plain(s)
	o.AuthFile = authFile(t, s.host, "alice", "secret")
	var urls []string
	o.OnRequest = func(r Request) { urls = append(urls, r.URL) }
	got, err := readAll(t.Context(), open(t, New(o), s.host+"/library/hello"), desc)
	if err != nil || string(got) != string(body) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	for _, name := range []string{"Authorization", "Referer", "Cookie"} {
		if v := (*seen)[0].Get(name); v != "" {
			t.Errorf("the storage got %s %q", name, v)
		}
	}
	if all := fmt.Sprint(urls); strings.Contains(all, "s3cret") || strings.Contains(all, "pass") {
		t.Errorf("OnRequest got secrets: %q", urls)
	}
}

func TestRedirectErrorsTellNoSecrets(t *testing.T) {
	desc, _ := helloLayer(t)
	cdn := httptest.NewServer(answer(403, nil, "<Error>no</Error>")(nil))
	defer cdn.Close()
	to := cdn.URL + "/blob?signature=s3cret"
	s := serve(t, redirectBlobs(&to))
	o := plain(s)
	o.AuthFile = authFile(t, s.host, "alice", "secret")
	_, err := readAll(t.Context(), open(t, New(o), s.host+"/library/hello"), desc)
	wantError(t, err, ErrDenied, "/blob?…")
	to = "http://127.0.0.1:1/gone?signature=s3cret"
	_, err = readAll(t.Context(), open(t, New(o), s.host+"/library/hello"), desc)
	wantError(t, err, ErrNetwork, "/gone?…")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %q tells a secret", err)
	}
}

func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	desc, body := helloLayer(t)
	cdn, seen := storage(t, (*httptest.Server).Start, body)
	to := cdn.URL
	s := serveWith(t, redirectBlobs(&to), (*httptest.Server).StartTLS)
	c := New(trust(t, quick(Options{AuthFile: authFile(t, s.host, "alice", "secret")}), s))
	_, err := readAll(t.Context(), open(t, c, s.host+"/library/hello"), desc)
	wantError(t, err, ErrNetwork, "refused", "from https to http")
	if len(*seen) != 0 {
		t.Error("the redirect was followed")
	}
}

func TestRedirectForEver(t *testing.T) {
	t.Parallel()
	desc, _ := helloLayer(t)
	to := "/blobs/again"
	s := serve(t, redirectBlobs(&to))
	o := plain(s)
	o.AuthFile = authFile(t, s.host, "alice", "secret")
	_, err := readAll(t.Context(), open(t, New(o), s.host+"/library/hello"), desc)
	wantError(t, err, ErrNetwork, "10 redirects")
	if got := len(s.asked()); got > 20 {
		t.Errorf("got %d requests", got)
	}
}
