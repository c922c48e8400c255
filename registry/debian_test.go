// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bufio"
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
	users, err := exec.Command(htpasswd, "-B", "-C", "4", "-bn", "alice", "secret").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	config := fmt.Sprintf(`
version: 0.1
log: {level: info, formatter: text}
storage: {filesystem: {rootdirectory: %s/data}}
http: {addr: "127.0.0.1:0", tls: {certificate: %s, key: %s}}
auth: {htpasswd: {realm: test, path: %s}}
`, dir, cert, key, writeFile(t, "htpasswd", users))
	cmd := exec.Command(binary, "serve", writeFile(t, "config.yml", []byte(config)))
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listens, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(listens)
		lines := bufio.NewReader(log)
		for line, err := lines.ReadString('\n'); err == nil; line, err = lines.ReadString('\n') {
			t.Log(line)
			// The kernel chooses a port, and the registry says which, once.
			if _, at, ok := strings.Cut(line, `"listening on `); ok && len(listens) == 0 {
				at, _, _ = strings.Cut(at, ",")
				listens <- at
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
	})
	var listening bool
	select {
	case host, listening = <-listens:
	case <-time.After(time.Minute):
	}
	if !listening {
		t.Fatal("docker-registry has ended, or has not said in a minute where it listens")
	}
	return host, cert, pusher(t, cert)
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

// TestDistribution is the whole way through a real registry.
func TestDistribution(t *testing.T) {
	t.Parallel()
	host, ca, client := distribution(t)
	t.Run("an image", func(t *testing.T) { distributesImage(t, host, ca, client) })
	t.Run("resumes", func(t *testing.T) { distributionResumes(t, host, ca, client) })
}

// distributesImage is TLS by a CA in hosts.toml, a user, manifests, a layer.
func distributesImage(t *testing.T, host, ca string, client *http.Client) {
	top := push(t, client, "https://"+host, "library/hello", "latest")
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

// distributionResumes goes on within a layer of a real registry.
func distributionResumes(t *testing.T, host, ca string, client *http.Client) {
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
