// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asked are the hosts of a plan, with the repositories there.
func asked(p Plan) []string {
	var names []string
	for _, e := range append(p.Mirrors, p.Origin) {
		if e.Pull || e.Resolve {
			names = append(names, e.name())
		}
	}
	return names
}

func conf(t *testing.T, text string) Files {
	t.Helper()
	return only(Files{RegistriesConf: filepath.Join(write(t, map[string]string{"r.conf": text}), "r.conf")})
}

// TestMatch has the cases of containers' own tests.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, prefix string
		want         int
	}{
		{"docker.io", "docker.io", 9},
		{"docker.io", "example.com", -1},
		{"example.com:5000", "example.com:5000", 16},
		{"example.com:50000", "example.com:5000", -1},
		{"example.com:5000", "example.com", 11},
		{"example.com/foo", "example.com", 11},
		{"example.com/foo/bar", "example.com", 11},
		{"example.com/foo/bar:baz", "example.com", 11},
		{"docker.io", "docker.io/library", -1},
		{"docker.io/library", "docker.io/library", 17},
		{"docker.io/libraryy", "docker.io/library", -1},
		{"docker.io/library/busybox", "docker.io/library", 17},
		{"docker.io/library/busybox2", "docker.io/library/busybox", -1},
		{"example.com/foo", "example.com/foo:bar", -1},
		{"example.com/foo:bar2", "example.com/foo:bar", -1},
		{"docker.io", "*.io", 9},
		{"docker.io/foo", "*.com", -1},
		{"example.com:5000/foo", "*.com", 11},
		{"foo.example.com:5000", "*.example.com:5000", 20},
		{"foo.example.com:50000", "*.example.com:5000", -1},
		{"example.com/foo", "*.example.com", -1},
		{"foo.example.com/x.example.com", "*.example.com", 15},
		{"foo.com/x.example.com", "*.example.com", -1},
		{"foo.example.communism/x", "*.example.com", -1},
	} {
		if got := match(c.prefix, c.name); got != c.want {
			t.Errorf("%s by %s: got %d, want %d", c.name, c.prefix, got, c.want)
		}
	}
}

func TestLongestPrefixByItsText(t *testing.T) {
	const exact = "[[registry]]\nprefix=\"reg.example.com\"\nlocation=\"exact.test\"\n"
	const near = "[[registry]]\nprefix=\"*.example.com\"\nlocation=\"near.test\"\n"
	const far = "[[registry]]\nprefix=\"*.com\"\nlocation=\"far.test\"\n"
	const long = "[[registry]]\nprefix=\"*.a.very.long.name.example.com\"\nlocation=\"long.test\"\n"
	for _, text := range []string{exact + near + far + long, long + far + near + exact, near + exact + long + far} {
		f := conf(t, text)
		for host, want := range map[string]string{
			"reg.example.com": "exact.test/a", "other.example.com": "near.test/a", "reg.example.com:5000": "exact.test:5000/a",
			"other.example.com:5000": "near.test:5000/a", "a.other.com": "far.test/a", "x.a.very.long.name.example.com": "long.test/a",
			"REG.example.com": "exact.test/a",
		} {
			if got := asked(lookup(t, f, host, "a")); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: asks %q, want %q", host, got, want)
			}
		}
	}
}

func TestBlocked(t *testing.T) {
	const open = "[[registry]]\nprefix=\"*.example.com\"\nlocation=\"open.test\"\n"
	const blocked = "[[registry]]\nlocation=\"reg.example.com\"\nblocked=true\n"
	mirrored := func(location string) string {
		return "[[registry]]\nlocation=\"up.test\"\n[[registry.mirror]]\nlocation=\"" + location + "\"\n"
	}
	for _, c := range []struct {
		name, text, host, repository string
		want                         []string // nil is blocked
	}{
		{"before a wildcard", blocked + open, "reg.example.com", "a", nil},
		{"after a wildcard", open + blocked, "reg.example.com", "a", nil},
		{"with a port", blocked, "reg.example.com:5000", "a", nil},
		{"in capitals", blocked, "Reg.Example.com", "a", nil},
		{"the port of https", "[[registry]]\nlocation=\"reg.example.com:443\"\nblocked=true\n", "reg.example.com", "a", nil},
		{"another port", "[[registry]]\nlocation=\"reg.example.com:5000\"\nblocked=true\n", "reg.example.com", "a", []string{"reg.example.com/a"}},
		{"a wildcard", "[[registry]]\nprefix=\"*.example.com\"\nblocked=true\n", "a.b.example.com:5000", "a", nil},
		{"a wildcard's own domain", "[[registry]]\nprefix=\"*.example.com\"\nblocked=true\n", "example.com", "a", []string{"example.com/a"}},
		{"a namespace", "[[registry]]\nlocation=\"reg.example.com/bad\"\nblocked=true\n", "reg.example.com", "bad/a", nil},
		{"beside a namespace", "[[registry]]\nlocation=\"reg.example.com/bad\"\nblocked=true\n", "reg.example.com", "badly/a", []string{"reg.example.com/badly/a"}},
		{"all but a namespace", blocked + "[[registry]]\nlocation=\"reg.example.com/good\"\n", "reg.example.com", "good/a", []string{"reg.example.com/good/a"}},
		{"another location", "[[registry]]\nprefix=\"reg.example.com\"\nlocation=\"else.test\"\nblocked=true\n", "reg.example.com", "a", nil},
		{"where it leads to", blocked + "[[registry]]\nprefix=\"alias.test\"\nlocation=\"reg.example.com/x\"\n", "alias.test", "a", nil},
		{"a mirror", blocked + mirrored("reg.example.com/x"), "up.test", "a", []string{"up.test/a"}},
		{"a mirror on a port", blocked + mirrored("reg.example.com:5000"), "up.test", "a", []string{"up.test/a"}},
		{"with a mirror", "[[registry]]\nlocation=\"up.test\"\nblocked=true\n[[registry.mirror]]\nlocation=\"m.test\"\n", "up.test", "a", nil},
		{"a tag", "[[registry]]\nlocation=\"reg.example.com/a:1\"\nblocked=true\n", "reg.example.com", "a", nil},
		{"Docker Hub", "[[registry]]\nlocation=\"docker.io\"\nblocked=true\n", "registry-1.docker.io", "library/a", nil},
		{"Docker Hub's host", "[[registry]]\nlocation=\"registry-1.docker.io\"\nblocked=true\n", "docker.io", "library/a", nil},
		{"in version 1", "[registries.block]\nregistries=[\"reg.example.com\"]\n[registries.search]\nregistries=[\"a.test\"]\n", "reg.example.com:5000", "a", nil},
		{"not in version 1", "[registries.block]\nregistries=[\"reg.example.com\"]\n", "a.test", "a", []string{"a.test/a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := conf(t, c.text).Lookup(c.host, c.repository, false)
			if got := asked(p); c.want == nil && !errors.Is(err, ErrBlocked) || c.want != nil && (err != nil || !slices.Equal(got, c.want)) {
				t.Errorf("asks %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// TestBlockedWhoeverDecides holds that what registries.conf forbids is not
// asked because another file knows the host too.
func TestBlockedWhoeverDecides(t *testing.T) {
	dir := write(t, map[string]string{
		"certs.d/_default/hosts.toml": "[host.\"https://bad.test\"]\n[host.\"https://good.test\"]\n",
		"k3s.yaml":                    "mirrors: {'*': {endpoint: ['https://bad.test', 'https://good.test/v2/hub']}}",
		"r.conf":                      "[[registry]]\nlocation=\"bad.test\"\nblocked=true\n",
	})
	for _, f := range []Files{
		{Dir: dir + "/certs.d", RegistriesConf: dir + "/r.conf"}, {K3s: dir + "/k3s.yaml", RegistriesConf: dir + "/r.conf"},
	} {
		if _, err := only(f).Lookup("bad.test", "a", false); !errors.Is(err, ErrBlocked) {
			t.Errorf("got %v, want %v", err, ErrBlocked)
		}
		if p := lookup(t, f, "up.test", "a"); len(p.Mirrors) != 1 || !strings.HasPrefix(p.Mirrors[0].URL, "https://good.test/v2") {
			t.Errorf("got %+v, want the other mirror", p)
		}
	}
}

func TestPullFromMirror(t *testing.T) {
	text := "[[registry]]\nlocation=\"up.test\"\n"
	for _, from := range []string{"", "all", "digest-only", "tag-only"} {
		text += "[[registry.mirror]]\nlocation=\"m.test/kind" + from + "\"\n"
		if from != "" {
			text += "pull-from-mirror=\"" + from + "\"\n"
		}
	}
	const digests = "[[registry]]\nlocation=\"up.test\"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation=\"m.test\"\n"
	for _, c := range []struct {
		text     string
		byDigest bool
		want     []string
	}{
		{text, false, []string{"m.test/kind/a", "m.test/kindall/a", "m.test/kindtag-only/a", "up.test/a"}},
		{text, true, []string{"m.test/kind/a", "m.test/kindall/a", "m.test/kinddigest-only/a", "up.test/a"}},
		{digests, false, []string{"up.test/a"}},
		{digests, true, []string{"m.test/a", "up.test/a"}},
	} {
		p, err := conf(t, c.text).Lookup("up.test", "a", c.byDigest)
		if got := asked(p); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("by digest %v: asks %q, %v, want %q", c.byDigest, got, err, c.want)
		}
	}
}

func TestRegistriesConfThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, word string }{
		"no TOML":                        {"[[registry]", "line 1"},
		"blocked is no boolean":          {"[[registry]]\nlocation=\"a\"\nblocked=\"yes\"", "blocked"},
		"neither prefix nor location":    {"[[registry]]\nblocked=true", "neither prefix nor location"},
		"a prefix with a scheme":         {"[[registry]]\nprefix=\"https://a\"\nlocation=\"a\"", "prefix"},
		"a location with a scheme":       {"[[registry]]\nlocation=\"http://a\"", "location"},
		"a mirror with a scheme":         {"[[registry]]\nlocation=\"a\"\n[[registry.mirror]]\nlocation=\"https://m\"", "location"},
		"a user":                         {"[[registry]]\nlocation=\"u@a\"", "location"},
		"a mirror without a location":    {"[[registry]]\nlocation=\"a\"\n[[registry.mirror]]\ninsecure=true", "location"},
		"an unknown kind of mirror":      {"[[registry]]\nlocation=\"a\"\n[[registry.mirror]]\nlocation=\"m\"\npull-from-mirror=\"never\"", "pull-from-mirror"},
		"two ways to limit a mirror":     {"[[registry]]\nlocation=\"a\"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation=\"m\"\npull-from-mirror=\"all\"", "mirror-by-digest-only"},
		"blocked and not":                {"[[registry]]\nlocation=\"a\"\nblocked=true\n[[registry]]\nprefix=\"b\"\nlocation=\"a\"", "blocked"},
		"insecure and not":               {"[[registry]]\nlocation=\"a\"\n[[registry]]\nprefix=\"b\"\nlocation=\"a/\"\ninsecure=true", "insecure"},
		"one prefix twice":               {"[[registry]]\nprefix=\"a\"\nlocation=\"b\"\n[[registry]]\nprefix=\"a\"\nlocation=\"c\"", "prefix"},
		"a wildcard of everything":       {"[[registry]]\nprefix=\"*\"\nlocation=\"a\"", "prefix"},
		"a wildcard within":              {"[[registry]]\nprefix=\"a.*.b\"\nlocation=\"a\"", "prefix"},
		"both versions":                  {"[registries.block]\nregistries=[\"a\"]\n[[registry]]\nlocation=\"b\"", "version 1"},
		"version 1 and a search list":    {"unqualified-search-registries=[\"x\"]\n[registries.insecure]\nregistries=[\"a\"]", "version 1"},
		"a scheme in version 1":          {"[registries.block]\nregistries=[\"https://a\"]", "location"},
		"a location with a port, and :1": {"[[registry]]\nprefix=\"h\"\nlocation=\"b:5000\"", "location"},
	} {
		f := conf(t, c.text)
		host := "h"
		if strings.HasSuffix(name, ":1") {
			host = "h:1" // b:5000:1 is no host
		}
		_, err := f.Lookup(host, "x", false)
		if err == nil || !strings.Contains(err.Error(), c.word) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: got %v, want an error that says %q", name, err, c.word)
		}
		if err != nil && host == "h" && !strings.Contains(err.Error(), "r.conf") {
			t.Errorf("%s: %v does not name the file", name, err)
		}
	}
}

func TestDropInsInOrder(t *testing.T) {
	table := func(host, mirror string) string {
		return "[[registry]]\nlocation=\"" + host + "\"\n[[registry.mirror]]\nlocation=\"" + mirror + "\"\n"
	}
	dir := write(t, map[string]string{
		"r.conf":                table("a", "main") + table("b", "main") + "[[registry]]\nlocation=\"c\"\nblocked=true\n",
		"r.conf.d/20.conf":      table("a", "twenty"),
		"r.conf.d/10.conf":      table("a", "ten") + table("b", "ten"),
		"r.conf.d/30.ignore":    table("a", "ignored"),
		"r.conf.d/40.conf/file": table("a", "below"),
		"r.conf.d/50.conf":      table("d", "c"),
		"v1.conf":               "",
		"v1.conf.d/10.conf":     "[registries.block]\nregistries=[\"a\"]\n",
	})
	f := Files{RegistriesConf: filepath.Join(dir, "r.conf")}
	for host, want := range map[string][]string{"a": {"twenty/x", "a/x"}, "b": {"ten/x", "b/x"}, "d": {"d/x"}} {
		if got := asked(lookup(t, f, host, "x")); !slices.Equal(got, want) {
			t.Errorf("%s: asks %q, want %q", host, got, want)
		}
	}
	if _, err := only(Files{RegistriesConf: filepath.Join(dir, "v1.conf")}).Lookup("b", "x", false); err == nil || !strings.Contains(err.Error(), "10.conf") {
		t.Errorf("version 1 in a drop-in: got %v", err)
	}
}

func TestInsecureMirror(t *testing.T) {
	f := conf(t, "[[registry]]\nlocation=\"up.test\"\n[[registry.mirror]]\nlocation=\"m.test\"\n[[registry.mirror]]\nlocation=\"n.test\"\n[[registry]]\nprefix=\"m.test\"\ninsecure=true\n")
	p := lookup(t, f, "up.test", "a")
	if !p.Mirrors[0].SkipVerify || p.Mirrors[1].SkipVerify || p.Origin.SkipVerify {
		t.Errorf("got %+v, want that m.test alone needs no certificate", p)
	}
}

func TestCertificateDirectories(t *testing.T) {
	dir := write(t, map[string]string{
		"first/up.test:5000/ca.crt": "", "second/up.test:5000/other.crt": "",
		"second/m.test/c.cert": "", "second/m.test/c.key": "", "second/docker.io/hub.crt": "",
		"second/broken.test/c.cert": "", "second/lonely.test/c.key": "",
		"r.conf": "[[registry]]\nlocation=\"up.test:5000\"\n[[registry.mirror]]\nlocation=\"m.test/x\"\n",
	})
	f := Files{CertDirs: []string{dir + "/first", dir + "/second"}, RegistriesConf: dir + "/r.conf"}
	p := lookup(t, f, "up.test:5000", "a")
	if !slices.Equal(p.Origin.CA, []string{dir + "/first/up.test:5000/ca.crt"}) {
		t.Errorf("origin: got %+v, want the first directory's", p.Origin)
	}
	if m := dir + "/second/m.test/c"; len(p.Mirrors) != 1 || !slices.Equal(p.Mirrors[0].Client, []KeyPair{{m + ".cert", m + ".key"}}) {
		t.Errorf("mirror: got %+v", p.Mirrors)
	}
	if p := lookup(t, f, "docker.io", "library/a"); len(p.Origin.CA) != 1 {
		t.Errorf("Docker Hub: got %+v", p.Origin)
	}
	if p := lookup(t, f, "none.test", "a"); p.Origin.CA != nil {
		t.Errorf("another host: got %+v", p.Origin)
	}
	for _, host := range []string{"broken.test", "lonely.test"} {
		if _, err := only(f).Lookup(host, "a", false); err == nil || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func FuzzRegistriesConf(f *testing.F) {
	f.Add("[[registry]]\nprefix=\"*.example.com\"\nlocation=\"a.test/b\"\n[[registry.mirror]]\nlocation=\"m.test:5000\"\npull-from-mirror=\"tag-only\"\n", "reg.example.com:5000", "x")
	f.Add("[[registry]]\nlocation=\"a/b\"\nblocked=true\n", "a", "b/c")
	f.Add("[registries.block]\nregistries=[\"a\"]\n", "a:443", "b")
	f.Fuzz(func(t *testing.T, text, host, repository string) {
		tables, err := parseRegistriesConf(text, false)
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("error %q is not one line", err)
			}
			return
		}
		if _, err := safeRepository(repository); err != nil || host == "" || strings.Contains(host, "/") {
			return
		}
		plan, err := tables.plan(Endpoint{URL: "https://" + host + "/v2", Repository: repository}, host, false)
		if err != nil || plan == nil {
			return
		}
		checkPlan(t, plan)
		allowed, err := tables.allowed(*plan, host+"/"+repository)
		if err == nil && tables.blocks(host+"/"+repository) != "" {
			t.Errorf("%s is blocked and asks %+v", host, allowed)
		}
	})
}
