// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
)

// distribution runs Debian's docker-registry with TLS and a user alice:secret,
// and returns its host:port, its CA and a client that may push.
func distribution(t *testing.T) (host, ca string, client *http.Client) {
	t.Helper()
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("needs docker-registry: ", err)
	}
	htpasswd, err := exec.LookPath("htpasswd")
	if err != nil {
		t.Skip("needs htpasswd: ", err)
	}
	users, err := exec.Command(htpasswd, "-Bbn", "alice", "secret").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	l.Close()
	config := fmt.Sprintf(`
version: 0.1
storage: {filesystem: {rootdirectory: %s/data}}
http: {addr: %q, tls: {certificate: %s, key: %s}}
auth: {htpasswd: {realm: test, path: %s}}
`, dir, host, cert, key, writeFile(t, "htpasswd", users))
	cmd := exec.Command(binary, "serve", writeFile(t, "config.yml", []byte(config)))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	client = pusher(t, cert)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get("https://" + host + "/v2/")
		if err == nil {
			resp.Body.Close()
			return host, cert, client
		}
		if time.Now().After(deadline) {
			t.Fatalf("docker-registry does not answer: %v", err)
		}
	}
}

func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	c, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// asAlice sends alice's password with each request.
type asAlice struct{ http.RoundTripper }

func (a asAlice) RoundTrip(r *http.Request) (*http.Response, error) {
	r.SetBasicAuth("alice", "secret")
	return a.RoundTripper.RoundTrip(r)
}

func pusher(t *testing.T, ca string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Client{Transport: asAlice{&http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}}
}

// breaks ends each body of a blob after 300,000 bytes.
type breaks struct {
	http.RoundTripper
	bodies int
}

func (b *breaks) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil && strings.Contains(r.URL.Path, "/blobs/") {
		b.bodies++
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(resp.Body, 300_000), iotest.ErrReader(io.ErrUnexpectedEOF)), resp.Body}
	}
	return resp, err
}

// TestDistribution is the whole way through a real registry: TLS by a CA in
// hosts.toml, a user, manifests, a layer.
func TestDistribution(t *testing.T) {
	host, ca, client := distribution(t)
	top := push(t, client, "https://"+host, "library/hello", hello, "latest")
	toml := fmt.Sprintf("ca = %q", ca)
	o := mirrored(t, host, toml)
	o.PlainHTTP = nil
	ref := host + "/library/hello"

	_, _, err := open(t, New(o), ref).Root(t.Context())
	wantError(t, err, ErrDenied, "401", "no credentials for "+host)
	noCA := quick(Options{})
	_, _, err = open(t, New(noCA), ref).Root(t.Context())
	wantError(t, err, ErrNetwork, "certificate")

	o.AuthFile = authFile(t, host, "alice", "secret")
	var statuses []int
	o.OnRequest = func(r Request) { statuses = append(statuses, r.Status) }
	src := open(t, New(o), ref)
	desc, raw, err := src.Root(t.Context())
	if err != nil || desc.Digest != top || digest.FromBytes(raw) != top {
		t.Fatalf("got %s, %v, want %s", desc.Digest, err, top)
	}
	layer, body := helloLayer(t)
	got, err := readAll(t.Context(), src, layer)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if want := fmt.Sprint([]int{401, 200, 200}); fmt.Sprint(statuses) != want {
		t.Errorf("got statuses %v, want %s", statuses, want)
	}
	if desc, err := open(t, New(o), ref).Describe(t.Context()); err != nil || desc.Digest != top {
		t.Errorf("got %s, %v, want %s", desc.Digest, err, top)
	}
	_, _, err = open(t, New(o), ref+":none").Root(t.Context())
	wantError(t, err, ErrNotFound, "404")
}

// TestDistributionResumes goes on within a layer of a real registry.
func TestDistributionResumes(t *testing.T) {
	host, ca, client := distribution(t)
	body := noise(1 << 20)
	upload(t, client, "https://"+host+"/v2/library/noise", digest.FromBytes(body).String(), body)
	o := mirrored(t, host, fmt.Sprintf("ca = %q", ca))
	o.PlainHTTP = nil
	o.AuthFile = authFile(t, host, "alice", "secret")
	breaking := &breaks{pusher(t, ca).Transport.(asAlice).RoundTripper, 0}
	o.Transport = breaking
	src := open(t, New(o), host+"/library/noise")
	got, err := readAll(t.Context(), src, describe(body))
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(body))
	}
	if breaking.bodies < 4 {
		t.Errorf("got %d responses, want 4", breaking.bodies)
	}
	if got := src.Traffic(); len(got) != 1 || got[0].Bytes != int64(len(body)) {
		t.Errorf("got traffic %v, want %d bytes of one host", got, len(body))
	}
}
