// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// write makes files below a new directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// only is files of one kind, and none of this machine.
func only(f Files) Files {
	for _, p := range []*string{&f.Dir, &f.K3s, &f.RegistriesConf} {
		if *p == "" {
			*p = "/nonexistent"
		}
	}
	if f.CertDirs == nil {
		f.CertDirs = []string{}
	}
	return f
}

func lookup(t *testing.T, f Files, host, repository string) Plan {
	t.Helper()
	p, err := only(f).Lookup(host, repository, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func equal(t *testing.T, got, want Plan) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

func TestNoConfiguration(t *testing.T) {
	equal(t, lookup(t, Files{}, "docker.io", "library/a"),
		Plan{Origin: Endpoint{URL: "https://registry-1.docker.io/v2", Repository: "library/a", Pull: true, Resolve: true}})
	equal(t, lookup(t, Files{}, "h:5000", "a"),
		Plan{Origin: Endpoint{URL: "https://h:5000/v2", Repository: "a", Pull: true, Resolve: true}})
}

func TestHostsTOML(t *testing.T) {
	dir := write(t, map[string]string{"docker.io/hosts.toml": `
server = "https://hub.example"
capabilities = ["pull", "resolve"]

[host."http://z:5000"]
  capabilities = ["pull"]
  skip_verify = true
  dial_timeout = "1s"

[host."https://a.example/proxy/hub"]
  capabilities = ["resolve", "push"]
  override_path = true
  ca = "ca.pem"
  client = [["c.pem", "/k.pem"]]
  [host."https://a.example/proxy/hub".header]
    x-key = ["1", "2"]
    X-Other = "3"

[host."m.example"]
  ca = ["/a", "b"]
  client = ["both.pem", ["c", ""]]

[host."https://n.example/v2/"]
  client = "one.pem"
`})
	in := func(name string) string { return filepath.Join(dir, "docker.io", name) }
	equal(t, lookup(t, Files{Dir: dir}, "docker.io", "library/x"), Plan{
		Origin: Endpoint{URL: "https://hub.example/v2", Repository: "library/x", Pull: true, Resolve: true},
		Mirrors: []Endpoint{
			{URL: "http://z:5000/v2", Repository: "library/x", Pull: true, SkipVerify: true},
			{
				URL: "https://a.example/proxy/hub", Repository: "library/x", Resolve: true, CA: []string{in("ca.pem")},
				Client: []KeyPair{{in("c.pem"), "/k.pem"}}, Header: http.Header{"X-Key": {"1", "2"}, "X-Other": {"3"}},
			},
			{
				URL: "https://m.example/v2", Repository: "library/x", Pull: true, Resolve: true, CA: []string{"/a", in("b")},
				Client: []KeyPair{{in("both.pem"), in("both.pem")}, {in("c"), in("c")}},
			},
			{
				URL: "https://n.example/v2", Repository: "library/x", Pull: true, Resolve: true,
				Client: []KeyPair{{in("one.pem"), in("one.pem")}},
			},
		},
	})
}

func TestHostsDirectories(t *testing.T) {
	mirror := func(name string) string { return `[host."https://` + name + `"]` }
	dir := write(t, map[string]string{
		"_default/hosts.toml":      mirror("default"),
		"a:5000/hosts.toml":        mirror("colon"),
		"b_5000_/hosts.toml":       mirror("underscores"),
		"certs/x.crt":              "",
		"certs/y.cert":             "",
		"certs/y.key":              "",
		"nothing/README":           "",
		"[glob]:1/ca.crt":          "",
		"empty.example/hosts.toml": "",
	})
	for host, want := range map[string]string{
		"a:5000": "https://colon/v2", "b:5000": "https://underscores/v2", "other": "https://default/v2",
	} {
		p := lookup(t, Files{Dir: dir}, host, "x")
		if len(p.Mirrors) != 1 || p.Mirrors[0].URL != want || p.Origin.URL != "https://"+host+"/v2" {
			t.Errorf("%s: got %+v, want %s", host, p, want)
		}
	}
	for _, host := range []string{"empty.example", "nothing"} {
		if p := lookup(t, Files{Dir: dir}, host, "x"); len(p.Mirrors) != 0 {
			t.Errorf("%s: got %+v, want no mirrors", host, p)
		}
	}
	p := lookup(t, Files{Dir: dir}, "certs", "x")
	in := filepath.Join(dir, "certs")
	if want := (KeyPair{in + "/y.cert", in + "/y.key"}); !reflect.DeepEqual(p.Origin.CA, []string{in + "/x.crt"}) || p.Origin.Client[0] != want {
		t.Errorf("docker's certificates: got %+v", p.Origin)
	}
	if p := lookup(t, Files{Dir: dir}, "[glob]:1", "x"); len(p.Origin.CA) != 1 {
		t.Errorf("a name with glob characters: got %+v", p.Origin)
	}
}

func TestHostsTOMLErrors(t *testing.T) {
	for name, content := range map[string]string{
		"no TOML":             "secret = ",
		"another type":        "server = 5",
		"a CA that is none":   "ca = 5",
		"a list of no string": "ca = [5]",
		"three in a pair":     `client = [["a","b","c"]]`,
		"a header":            "[header]\nx = 5",
		"a scheme":            `[host."unix:///x"]`,
		"a password":          `[host."https://u:secret@h"]`,
		"no host":             `[host."https:///x"]`,
		"no URL":              `[host."https://secret:x"]`,
		"a query":             `server = "https://h?secret"`,
		"a capability":        `capabilities = ["pull", "secret"]`,
	} {
		dir := write(t, map[string]string{"h/hosts.toml": content})
		_, err := only(Files{Dir: dir}).Lookup("h", "x", false)
		if err == nil || !strings.Contains(err.Error(), "hosts.toml") || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "u:secret") {
			t.Errorf("%s: error %q tells a secret", name, err)
		}
	}
}

func TestK3s(t *testing.T) {
	file := filepath.Join(write(t, map[string]string{"r.yaml": `
mirrors:
  docker.io:
    endpoint: ["https://m.example:5000", "http://n.example", "https://harbor.example/v2/hub", "https://registry-1.docker.io"]
    rewrite:
      "^library/(.*)": "mirror/$1"
      "^lib": "wrong"
  "*":
    endpoint: ["https://any.example"]
configs:
  "m.example:5000":
    auth: {username: u, password: p}
    tls: {ca_file: /ca, cert_file: /c, key_file: /k, insecure_skip_verify: true}
  "own.example":
    auth: {auth: dTpw, identity_token: t}
`}), "r.yaml")
	equal(t, lookup(t, Files{K3s: file}, "docker.io", "library/x"), Plan{
		// Named as the last endpoint, it has the rewrites too.
		Origin: Endpoint{URL: "https://registry-1.docker.io/v2", Repository: "mirror/x", Pull: true, Resolve: true},
		Mirrors: []Endpoint{
			{
				URL: "https://m.example:5000/v2", Repository: "mirror/x", Pull: true, Resolve: true, SkipVerify: true,
				CA: []string{"/ca"}, Client: []KeyPair{{"/c", "/k"}}, Username: "u", Password: "p",
			},
			{URL: "http://n.example/v2", Repository: "mirror/x", Pull: true, Resolve: true},
			{URL: "https://harbor.example/v2/hub", Repository: "mirror/x", Pull: true, Resolve: true},
		},
	})
	equal(t, lookup(t, Files{K3s: file}, "own.example", "x"), Plan{
		Origin: Endpoint{
			URL: "https://own.example/v2", Repository: "x", Pull: true, Resolve: true,
			Username: "u", Password: "p", IdentityToken: "t",
		},
	})
	if p := lookup(t, Files{K3s: file}, "other.example", "x"); len(p.Mirrors) != 1 || p.Mirrors[0].URL != "https://any.example/v2" {
		t.Errorf("of every host: got %+v", p)
	}
}

func TestK3sErrors(t *testing.T) {
	for name, content := range map[string]string{
		"no YAML":      "secret: [",
		"another type": "mirrors: secret",
		"a rewrite":    `mirrors: {h: {rewrite: {"x": "../secret"}}}`,
		"no pattern":   `mirrors: {h: {rewrite: {"(": "x"}}}`,
		"an endpoint":  `mirrors: {h: {endpoint: ["ftp://x"]}}`,
		"auth":         `configs: {h: {auth: {auth: "!secret"}}}`,
		"auth of none": `configs: {h: {auth: {auth: "c2VjcmV0"}}}`,
	} {
		file := filepath.Join(write(t, map[string]string{"r.yaml": content}), "r.yaml")
		_, err := only(Files{K3s: file}).Lookup("h", "x", false)
		if err == nil || !strings.Contains(err.Error(), "r.yaml") || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "!secret") {
			t.Errorf("%s: error %q tells a secret", name, err)
		}
	}
}

func TestRegistriesConf(t *testing.T) {
	dir := write(t, map[string]string{
		"r.conf": `
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io/library/special"
[[registry]]
prefix = "docker.io"
location = "hub.example/dh"
  [[registry.mirror]]
  location = "m1.example/hub"
  [[registry.mirror]]
  location = "m2.example"
  insecure = true
  pull-from-mirror = "digest-only"
[[registry]]
prefix = "*.corp.example"
insecure = true
[[registry]]
location = "bad.example"
blocked = true
[[registry]]
location = "late.example"
`,
		"r.conf.d/10.conf": "[[registry]]\nlocation = \"late.example\"\n[[registry.mirror]]\nlocation = \"drop.example\"\n",
	})
	f := Files{RegistriesConf: filepath.Join(dir, "r.conf")}
	equal(t, lookup(t, f, "docker.io", "library/x"), Plan{
		Origin: Endpoint{URL: "https://hub.example/v2", Repository: "dh/library/x", Pull: true, Resolve: true},
		Mirrors: []Endpoint{
			{URL: "https://m1.example/v2", Repository: "hub/library/x", Pull: true, Resolve: true},
		},
	})
	for _, repo := range []string{"library/special", "library/special/x"} {
		if p := lookup(t, f, "docker.io", repo); len(p.Mirrors) != 0 || p.Origin.URL != "https://registry-1.docker.io/v2" {
			t.Errorf("the longest prefix: got %+v", p)
		}
	}
	if p := lookup(t, f, "docker.io", "library/specials"); len(p.Mirrors) != 1 {
		t.Errorf("a prefix ends at a slash: got %+v", p)
	}
	if p := lookup(t, f, "a.corp.example", "x"); !p.Origin.SkipVerify || p.Origin.URL != "https://a.corp.example/v2" {
		t.Errorf("a wildcard: got %+v", p)
	}
	if p := lookup(t, f, "late.example", "x"); len(p.Mirrors) != 1 || p.Mirrors[0].URL != "https://drop.example/v2" {
		t.Errorf("a drop-in: got %+v", p)
	}
	if _, err := only(f).Lookup("bad.example", "x", false); !errors.Is(err, ErrBlocked) {
		t.Errorf("blocked: got %v", err)
	}
	if p := lookup(t, f, "else.example", "x"); len(p.Mirrors) != 0 {
		t.Errorf("another host: got %+v", p)
	}
}

func TestTheFirstThatSaysAnything(t *testing.T) {
	dir := write(t, map[string]string{
		"certs.d/a/hosts.toml": `[host."https://toml"]`,
		"k3s.yaml":             "mirrors: {a: {endpoint: [yaml]}, b: {endpoint: [yaml]}}",
		"r.conf": "[[registry]]\nlocation=\"a\"\n[[registry.mirror]]\nlocation=\"conf\"\n" +
			"[[registry]]\nlocation=\"c\"\n[[registry.mirror]]\nlocation=\"conf\"\n",
	})
	f := Files{Dir: dir + "/certs.d", K3s: dir + "/k3s.yaml", RegistriesConf: dir + "/r.conf"}
	for host, want := range map[string]string{"a": "https://toml/v2", "b": "https://yaml/v2", "c": "https://conf/v2"} {
		if p := lookup(t, f, host, "x"); len(p.Mirrors) != 1 || p.Mirrors[0].URL != want {
			t.Errorf("%s: got %+v, want %s", host, p, want)
		}
	}
}

func TestFileThatIsTooLarge(t *testing.T) {
	dir := write(t, map[string]string{"h/hosts.toml": strings.Repeat("#", maxFile+1)})
	if _, err := only(Files{Dir: dir}).Lookup("h", "x", false); err == nil {
		t.Error("got no error")
	}
}

func checkPlan(t *testing.T, p *Plan) {
	if p == nil {
		return
	}
	for _, e := range append(p.Mirrors, p.Origin) {
		if !strings.HasPrefix(e.URL, "http://") && !strings.HasPrefix(e.URL, "https://") {
			t.Errorf("got URL %q", e.URL)
		}
		if e.Repository == "" || strings.Contains(e.Repository, "..") {
			t.Errorf("got repository %q", e.Repository)
		}
	}
}

func FuzzHostsTOML(f *testing.F) {
	f.Add("server = \"https://a\"\n[host.\"http://b\"]\ncapabilities = [\"pull\"]\nclient=[[\"a\",\"b\"]]\n[host.\"http://b\".header]\nx=\"y\"")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseHostsTOML(s, "/d", Endpoint{URL: "https://h/v2", Repository: "x"})
		if err == nil {
			checkPlan(t, p)
		} else if strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("error %q is not one line", err)
		}
	})
}

func FuzzK3s(f *testing.F) {
	f.Add([]byte("mirrors: {h: {endpoint: [a, 'http://b/v2/c'], rewrite: {x: y}}}\nconfigs: {h: {auth: {auth: dTpw}}}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseK3s(b, Endpoint{URL: "https://h/v2", Repository: "x"}, "h"); err == nil {
			checkPlan(t, p)
		}
	})
}

func TestReadFileWaitsForNothing(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, t.TempDir(), "/dev/zero"} {
		if _, err := ReadFile(name); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := only(Files{RegistriesConf: name, K3s: name}).Lookup("h", "x", false); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := ReadFile("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that it is not there", err)
	}
}
