// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// world is where a mistake is made: a directory, which the table calls /srv,
// with an image in hello and a place for a store; a DNS server that knows
// registry.example, which is this machine; and no network beside it.
type world struct {
	t     *testing.T
	dir   string
	stdin string
	names []struct{ table, here string }
}

func newWorld(t *testing.T, hello string) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.name("/srv", w.dir)
	t.Chdir(w.dir)
	if err := os.Symlink(hello, filepath.Join(w.dir, "hello")); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"HOME": w.dir, "DOCKER_CONFIG": w.dir, "XDG_CONFIG_HOME": w.dir, "XDG_RUNTIME_DIR": "", "REGISTRY_AUTH_FILE": "",
		"LAYERCTL_STORE": filepath.Join(w.dir, "store"), "LAYERCTL_IDS": "squashed", "LAYERCTL_AUTH_FILE": "", "DOCKER_AUTH_CONFIG": "",
		"CONTAINERS_REGISTRIES_CONF": filepath.Join(w.dir, "registries.conf"),
		"HTTP_PROXY":                 "", "HTTPS_PROXY": "", "NO_PROXY": "", "http_proxy": "", "https_proxy": "", "no_proxy": "",
	} {
		t.Setenv(name, value)
	}
	w.resolve()
	return w
}

// name has the table call something by another name than it has here.
func (w *world) name(table, here string) {
	w.names = append(w.names, struct{ table, here string }{table, here})
}

// resolve puts a DNS server in place of the machine's.
func (w *world) resolve() {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		b := make([]byte, 1024)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			// A question that nobody answers is asked again, and fails the test.
			_, _ = server.WriteTo(answerName(b[:n]), from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	w.t.Cleanup(func() { net.DefaultResolver = before; server.Close() })
}

// answerName knows one name, and has trouble with another.
func answerName(question []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	switch {
	case strings.HasPrefix(q.Name.String(), "registry.example.") && q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	case strings.HasPrefix(q.Name.String(), "registry.example."):
	case strings.HasPrefix(q.Name.String(), "unsure.example."):
		m.RCode = dnsmessage.RCodeServerFailure
	default:
		m.RCode = dnsmessage.RCodeNameError
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// worlds are what the mistakes of the table need beside a world as it is.
var worlds = map[string]func(*world){
	"a file in place of a reference":          func(w *world) { w.file("image.tar", "") },
	"a bad reference in a list":               func(w *world) { w.file("list", "oci:hello\n\n# the next is bad\nalpine:\n") },
	"a line of three words in a list":         func(w *world) { w.file("list", "alpine linux/amd64 now\n") },
	"a bad platform in a list":                func(w *world) { w.file("list", "alpine linux/toaster/8/9\n") },
	"a directory that is no layout":           func(w *world) { w.file("empty/readme", "") },
	"a file that is no archive":               func(w *world) { w.file("image.tar", strings.Repeat("no tar ", 200)) },
	"a tag that the registry has not":         func(w *world) { w.http(w.registry()) },
	"a digest that the registry has not":      func(w *world) { w.http(w.registry()) },
	"a layer that the registry has not":       func(w *world) { w.http(without("blobs/sha256:802207531087", w.registry())) },
	"a token from nowhere":                    func(w *world) { w.http(says(401, "WWW-Authenticate", "Bearer", "")) },
	"a token from no URL":                     func(w *world) { w.http(says(401, "WWW-Authenticate", `Bearer realm="/token"`, "")) },
	"a registry that nothing listens for":     (*world).nobody,
	"http where https is spoken":              func(w *world) { w.http(w.registry()) },
	"https where --plain-http is given":       func(w *world) { w.https(w.registry(), certificate{}) },
	"an unknown authority":                    func(w *world) { w.https(w.registry(), certificate{}) },
	"the certificate of another host":         func(w *world) { w.https(w.registry(), certificate{name: "portal.example"}) },
	"a certificate of tomorrow":               func(w *world) { w.https(w.registry(), certificate{from: time.Date(2099, 1, 2, 0, 0, 0, 0, time.UTC)}) },
	"a certificate of yesterday":              func(w *world) { w.https(w.registry(), certificate{to: time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)}) },
	"a file without certificates":             func(w *world) { w.https(w.registry(), certificate{}); w.file("ca.pem", "none\n") },
	"a login page of a network":               func(w *world) { w.http(says(200, "Content-Type", "text/html", "<html>Welcome to the hotel</html>")) },
	"too many requests":                       func(w *world) { w.http(says(429, "Retry-After", "2100", "")) },
	"too many requests, without a time":       func(w *world) { w.http(says(429, "X", "", "")) },
	"a registry in trouble":                   func(w *world) { w.http(says(503, "X", "", "")) },
	"a connection that breaks":                func(w *world) { w.http(http.HandlerFunc(hangUp)) },
	"a private image":                         func(w *world) { w.http(w.private("", false)) },
	"a wrong password":                        func(w *world) { w.http(w.private("", false)); w.stdin = "wrong\n" },
	"no home to keep credentials in":          func(w *world) { w.http(says(200, "X", "", "")); w.stdin = "secret\n"; w.homeless() },
	"no home to forget credentials in":        (*world).homeless,
	"credentials that do not do":              func(w *world) { w.http(w.private("", false)); w.login("registry.example:5000") },
	"a file of credentials that is not there": func(w *world) { w.http(w.private("", false)) },
	"a file of credentials that is broken":    func(w *world) { w.http(w.private("", false)); w.file("auth.json", "no JSON") },
	"a token server of another site":          func(w *world) { w.http(w.private("http://127.0.0.1", true)); w.login("registry.example:5000") },
	"a registry that is blocked": func(w *world) {
		w.file("registries.conf", "[[registry]]\nlocation = \"registry.example\"\nblocked = true\n")
	},
	"a proxy that wants credentials":   (*world).proxy,
	"a store of a later format":        func(w *world) { w.file("store/store.json", `{"format":9}`) },
	"a file where the store should be": func(w *world) { w.file("store", "") },
	"a store that is read-only":        (*world).readOnly,
	"a store in a directory of others": (*world).forbidden,
	"a full disk":                      (*world).fullDisk,
	"a store that is damaged":          (*world).damaged,
	"a cache that is damaged": func(w *world) {
		w.pulled()
		w.file("store/blobs/oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
		w.file("store/blobs/index.json", "")
	},
	"a blob that is damaged": func(w *world) {
		ref := flippedLayer(w.t)
		w.name("oci:broken", ref)
		w.name("/srv/broken", strings.TrimPrefix(ref, "oci:"))
	},
	"a directory that is not empty": func(w *world) { w.file("full/file", "") },
	"a path that leads outside": func(w *world) {
		w.layer("evil", imagetest.Entry{Header: tar.Header{Name: "../outside"}, Body: "x"})
	},
	"a layer over a limit":                    func(w *world) { w.layer("big", imagetest.File("a", strings.Repeat("x", 9000))) },
	"an image of other machines":              func(w *world) {},
	"nothing is mounted there":                func(w *world) { w.root(); w.pulled() },
	"an image that is not in the store":       (*world).pulled,
	"one of several that is not in the store": (*world).pulled,
	"no directory to mount at":                func(w *world) { w.root(); w.pulled() },
	"layers that nobody has as tars":          func(w *world) { w.root(); w.pulled() },
	"a store without fs-verity":               (*world).pulled,
	"a store that has the form":               (*world).pulled,
	"a new store in the old one":              (*world).pulled,
	"an option that is none":                  (*world).pulled,
	"an upper without a work":                 (*world).pulled,
	"an image in use":                         func(w *world) { w.mounted() },
	"a mount in use":                          func(w *world) { w.mounted(); w.t.Chdir("mnt") },
	"an image mounted there already":          func(w *world) { w.mounted() },
	"a short digest of two images":            (*world).alike,
	"interrupted":                             (*world).interrupted,
}

func (w *world) file(name, text string) {
	name = filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// layer makes an image of one layer.
func (w *world) layer(name string, entries ...imagetest.Entry) {
	l := imagetest.NewLayout(filepath.Join(w.dir, name))
	l.Tag(l.Image(amd64, imagetest.Tar(entries...)), "latest")
}

// homeless has no variable that leads to a directory of the user.
func (w *world) homeless() {
	for _, name := range []string{"HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME"} {
		w.t.Setenv(name, "")
	}
}

func (w *world) root() {
	if os.Geteuid() != 0 {
		w.t.Skip("needs root")
	}
}

// does runs a command that must do well.
func (w *world) does(typed string) {
	w.t.Helper()
	words, stdout, end := w.words(typed)
	defer end()
	var stderr strings.Builder
	if code := run(words, strings.NewReader(""), stdout, &stderr); code != exitOK {
		w.t.Fatalf("%s: exit %d: %s", typed, code, &stderr)
	}
}

// pulled has the image in the store.
func (w *world) pulled() { w.does("layerctl pull -q --platform linux/amd64 oci:hello") }

// mounted has it mounted too.
func (w *world) mounted() {
	w.root()
	w.pulled()
	at := filepath.Join(w.dir, "mnt")
	if err := os.Mkdir(at, 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.does("layerctl mount oci:hello mnt")
	w.t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}

// registry serves the image.
func (w *world) registry() http.Handler {
	r := registrytest.NewRegistry()
	w.t.Cleanup(r.Close)
	r.AddLayout(filepath.Join(w.dir, "hello"), "latest")
	return r
}

func (w *world) listen(s *httptest.Server) {
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.name("registry.example:5000", "registry.example:"+port)
	w.t.Cleanup(s.Close)
}

func (w *world) http(h http.Handler) {
	s := httptest.NewUnstartedServer(h)
	w.listen(s)
	s.Start()
}

// certificate is what a server shows; the zero value is for registry.example, by
// an authority that only ca.pem knows.
type certificate struct {
	name     string
	from, to time.Time
}

func (w *world) https(h http.Handler, c certificate) {
	if c.name == "" {
		c.name = "registry.example"
	}
	if c.from.IsZero() {
		c.from = time.Date(2019, 1, 2, 0, 0, 0, 0, time.UTC)
	}
	if c.to.IsZero() {
		c.to = time.Date(2999, 1, 2, 0, 0, 0, 0, time.UTC)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: c.name}, DNSNames: []string{c.name},
		NotBefore: c.from, NotAfter: c.to, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	w.listen(s)
	s.StartTLS()
}

// nobody has a port of this machine that is closed.
func (w *world) nobody() {
	_, port, _ := net.SplitHostPort(closedPort(w.t))
	w.name("registry.example:5000", "registry.example:"+port)
	w.name("127.0.0.1:5000", "127.0.0.1:"+port)
}

// says answers all questions alike.
func says(status int, header, value, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(header, value)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// without has nothing whose path has the text in it.
func without(text string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, text) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// private wants credentials, by a token of the realm or itself, and none will
// do.
func (w *world) private(realm string, token bool) http.Handler {
	challenge := `Basic realm="registry"`
	if token {
		s := httptest.NewServer(says(401, "X", "", ""))
		w.t.Cleanup(s.Close)
		w.name("127.0.0.1:6000", strings.TrimPrefix(s.URL, "http://"))
		challenge = `Bearer realm="` + s.URL + `/token"`
	}
	return says(401, "WWW-Authenticate", challenge, "")
}

// login keeps credentials for a host.
func (w *world) login(host string) {
	w.file("config.json", `{"auths":{"`+w.real(host)+`":{"auth":"YWxpY2U6c2VjcmV0"}}}`)
}

// proxy stands before all hosts.
func (w *world) proxy() {
	s := httptest.NewServer(says(407, "Proxy-Authenticate", "Basic", ""))
	w.t.Cleanup(s.Close)
	w.name("proxy.example:3128", strings.TrimPrefix(s.URL, "http://"))
	w.t.Setenv("HTTPS_PROXY", s.URL)
}

// tmpfs mounts a small filesystem as the store's.
func (w *world) tmpfs(options string) {
	w.root()
	store := filepath.Join(w.dir, "store")
	if err := os.Mkdir(store, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", store, "tmpfs", 0, options); err != nil {
		w.t.Skipf("needs a tmpfs: %v", err)
	}
	w.t.Cleanup(func() { _ = unix.Unmount(store, unix.MNT_DETACH) })
}

func (w *world) readOnly() {
	w.tmpfs("size=1m,mode=0700")
	if err := unix.Mount("", filepath.Join(w.dir, "store"), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) fullDisk() {
	w.tmpfs("size=4m,mode=0700")
	w.layer("big", imagetest.File("a", imagetest.Noise(8<<20)))
}

// forbidden is a directory that its owner may not write to, if that is not root.
func (w *world) forbidden() {
	if os.Geteuid() == 0 {
		w.t.Skip("needs an ordinary user")
	}
	if err := os.Mkdir(filepath.Join(w.dir, "others"), 0o500); err != nil {
		w.t.Fatal(err)
	}
}

// damaged has a file of a layer changed.
func (w *world) damaged() {
	w.pulled()
	files, err := filepath.Glob(filepath.Join(w.dir, "store/layers/*/fs/var/cache/fresh"))
	if err != nil || len(files) == 0 {
		files, _ = filepath.Glob(filepath.Join(w.dir, "store/layers/*/*/*"))
		w.t.Fatalf("no file to damage: %v", files)
	}
	if err := os.WriteFile(files[0], []byte("other"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// interrupted is asked something, and sends the signal of ^C instead.
func (w *world) interrupted() {
	w.http(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
		<-r.Context().Done()
	}))
}

// alike has two images in the store whose digests begin with the same digits.
func (w *world) alike() {
	store, err := overlaystore.Open(w.t.Context(), filepath.Join(w.dir, "store"), overlaystore.Options{IDs: layer.SquashedIDs, NoSync: true})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, end := range []string{"0", "1"} {
		d := digest.Digest("sha256:beefdbd8a1da" + strings.Repeat(end, 52))
		if _, err := store.PutImage(w.t.Context(), overlaystore.Image{Manifest: d, Config: d}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		w.t.Fatal(err)
	}
}
