// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/shortname"
)

const accepts = `[{"type":"insecureAcceptAnything"}]`

func image(t testing.TB, text string) *Name {
	n := bare(t, text)
	return &Name{Transport: "docker", Image: &n}
}

// The scope that decides is the one that containers/image 5.36 takes.
func TestNarrowestScope(t *testing.T) {
	var scopes []string
	for _, s := range []string{"", "unmatched", "deep.com", "*.very.deep.com", "*.deep.com", "deep.com/n1", "deep.com/n1/n2", "deep.com/n1/n2/n3", "deep.com/n1/n2/n3/repo", "deep.com/n1/n2/n3/repo:tag2"} {
		scopes = append(scopes, fmt.Sprintf("%q:%s", s, accepts))
	}
	p, err := Parse([]byte(`{"default":[{"type":"reject"}],"transports":{"docker":{` + strings.Join(scopes, ",") + `},"atomic":{"unmatched":` + accepts + `}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"deep.com/n1/n2/n3/repo:tag2":      "docker:deep.com/n1/n2/n3/repo:tag2",
		"deep.com/n1/n2/n3/repo:nottag2":   "docker:deep.com/n1/n2/n3/repo",
		"deep.com/n1/n2/n3/repo" + pinned:  "docker:deep.com/n1/n2/n3/repo",
		"deep.com/n1/n2/n3/notrepo:tag2":   "docker:deep.com/n1/n2/n3",
		"deep.com/n1/n2/notn3/repo:tag2":   "docker:deep.com/n1/n2",
		"deep.com/n1/notn2/n3/repo:tag2":   "docker:deep.com/n1",
		"deep.com/notn1/n2/n3/repo:tag2":   "docker:deep.com",
		"very.deep.com/n1/n2/n3/repo:tag2": "docker:*.deep.com",
		"not.very.deep.com/n1/repo:tag2":   "docker:*.very.deep.com",
		"this.does-not/match:anything":     "docker:",
	} {
		if got := p.For(image(t, name)).Scope; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, n := range []*Name{{Transport: "atomic", Path: "/x"}, {Transport: "dir", Path: "/what/ever"}} {
		if got := p.For(n); got.Scope != "default" || got.Requirements[0].Kind != Reject {
			t.Errorf("%v: %v", n, got)
		}
	}
}

func TestScopesOfNames(t *testing.T) {
	for name, want := range map[string]string{
		"example.com/ns/repo":                  "example.com/ns/repo example.com/ns example.com *.com",
		"localhost/repo":                       "localhost/repo localhost",
		"notlocalhost/repo":                    "docker.io/notlocalhost/repo docker.io/notlocalhost docker.io *.io",
		"repo":                                 "docker.io/library/repo docker.io/library docker.io *.io",
		"yet.another.example.com:8443/ns/repo": "yet.another.example.com:8443/ns/repo yet.another.example.com:8443/ns yet.another.example.com:8443 *.another.example.com *.example.com *.com",
		"example.com/repo:tag":                 "example.com/repo:tag example.com/repo example.com *.com",
		"localhost:5000/repo:tag" + pinned:     "localhost:5000/repo" + pinned + " localhost:5000/repo:tag localhost:5000/repo localhost:5000",
	} {
		if got := strings.Join(image(t, name).scopes(), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	got := (&Name{Transport: "oci", Path: filepath.Join(dir, "link"), Tag: "1"}).scopes()
	if got[0] != dir+":1" || got[1] != dir || got[2] != filepath.Dir(dir) || slices.Contains(got, "/") {
		t.Errorf("of a link: %v", got)
	}
	for _, n := range []*Name{{Transport: "oci-archive", Path: "-"}, {Transport: "docker-archive", Path: "/x"}} {
		if got := n.scopes(); got != nil {
			t.Errorf("%v: %v", n, got)
		}
	}
}

// A file is taken or refused as containers/image 5.36 does.
func TestFiles(t *testing.T) {
	nonsense := base64.StdEncoding.EncodeToString([]byte("nonsense"))
	rule := func(requirement string) string { return `{"default":[` + requirement + `]}` }
	sigstore := func(members string) string { return rule(`{"type":"sigstoreSigned",` + members + `}`) }
	named := func(members string) string { return sigstore(`"keyPath":"/k","signedIdentity":{` + members + `}`) }
	for _, c := range []struct {
		name, text, want string // want is "" for a file that is taken
	}{
		{"the least", `{"default":[{"type":"reject"}]}`, ""},
		{"all", `{"default":[{"type":"reject"}],"transports":{"docker":{"":` + accepts + `},"dir":{"":` + accepts + `},"unheard-of":{"x":` + accepts + `}}}`, ""},
		{"OpenPGP", rule(`{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}`), ""},
		{"OpenPGP, a list", rule(`{"type":"signedBy","keyType":"GPGKeys","keyPaths":["/k","/l"],"signedIdentity":{"type":"matchRepository"}}`), ""},
		{"base layer", rule(`{"type":"signedBaseLayer","baseLayerIdentity":{"type":"exactRepository","dockerRepository":"registry.access.redhat.com/rhel7/rhel"}}`), ""},
		{"key that is none", sigstore(`"keyData":"` + nonsense + `"`), ""},
		{"keys", sigstore(`"keyPaths":["/a","/b"]`), ""},
		{"keys in it", sigstore(`"keyDatas":["` + nonsense + `","` + nonsense + `"]`), ""},
		{"with a log", sigstore(`"keyPath":"/k","rekorPublicKeyPath":"/r"`), ""},
		{"keyless", sigstore(`"fulcio":{"caPath":"/c","oidcIssuer":"https://i","subjectEmail":"m@x"},"rekorPublicKeyData":"` + nonsense + `"`), ""},
		{"by certificates", sigstore(`"pki":{"caRootsPath":"/c","subjectHostname":"h"}`), ""},
		{"matchExact", named(`"type":"matchExact"`), ""},
		{"exactReference", named(`"type":"exactReference","dockerReference":"library/x:1"`), ""},
		{"exactRepository", named(`"type":"exactRepository","dockerRepository":"library/x"`), ""},
		{"remapIdentity", named(`"type":"remapIdentity","prefix":"example.com/docker-library","signedPrefix":"docker.io/library"`), ""},
		{"whitespace", " \n{\n\"default\" :\n[{\"type\":\"reject\"}]} \n", ""},

		{"nothing", ``, "line 1: it is no JSON"},
		{"no object", `[]`, "no object"},
		{"cut off", `{"default":[{"type":"reject"}]`, "no JSON"},
		{"two", `{"default":[{"type":"reject"}]}{}`, "data after"},
		{"no UTF-8", "{\"default\":[{\"type\":\"reject\"}],\"\xff\":1}", "UTF-8"},
		{"no default", `{"transports":{}}`, `"default" is missing`},
		{"default twice", `{"default":[{"type":"reject"}],"default":` + accepts + `}`, `"default" stands twice`},
		{"transport twice", `{"default":[{"type":"reject"}],"transports":{"docker":{},"docker":{}}}`, "twice"},
		{"scope twice", `{"default":[{"type":"reject"}],"transports":{"docker":{"a":` + accepts + `,"a":` + accepts + `}}}`, "twice"},
		{"type twice", rule(`{"type":"reject","type":"insecureAcceptAnything"}`), "twice"},
		{"another member", `{"default":[{"type":"reject"}],"extra":1}`, `"extra" is not known`},
		{"another case", `{"Default":[{"type":"reject"}]}`, `"Default" is not known`},
		{"empty default", `{"default":[]}`, "empty"},
		{"empty scope", `{"default":[{"type":"reject"}],"transports":{"docker":{"a":[]}}}`, "empty"},
		{"no list", `{"default":{"type":"reject"}}`, "no list"},
		{"another requirement", rule(`{"type":"future"}`), `"future" is not known`},
		{"no type", rule(`{}`), `"" is not known`},
		{"type that is no text", rule(`{"type":1}`), `is not known`},
		{"more of reject", rule(`{"type":"reject","x":1}`), `"x" is not known`},
		{"more of accept", rule(`{"type":"insecureAcceptAnything","keyPath":"/k"}`), `"keyPath" is not known`},
		{"no key", sigstore(`"signedIdentity":{"type":"matchExact"}`), "exactly one of keyPath"},
		{"two kinds of keys", sigstore(`"keyPath":"/k","keyData":"` + nonsense + `"`), "exactly one of keyPath"},
		{"no keys in the list", sigstore(`"keyPaths":[]`), "keyPaths is empty"},
		{"key that is no text", sigstore(`"keyPath":1`), "no string"},
		{"key that is no base64", sigstore(`"keyData":"&"`), "no base64"},
		{"more of sigstoreSigned", sigstore(`"keyPath":"/k","keyType":"x"`), `"keyType" is not known`},
		{"two logs", sigstore(`"keyPath":"/k","rekorPublicKeyPath":"/r","rekorPublicKeyData":"` + nonsense + `"`), "of which there may be one"},
		{"keyless without a log", sigstore(`"fulcio":{"caPath":"/c","oidcIssuer":"https://i","subjectEmail":"m@x"}`), "rekorPublicKey"},
		{"keyless by nobody", sigstore(`"fulcio":{"caPath":"/c","oidcIssuer":"https://i"},"rekorPublicKeyPath":"/r"`), "subjectEmail"},
		{"certificates with a log", sigstore(`"pki":{"caRootsPath":"/c","subjectHostname":"h"},"rekorPublicKeyPath":"/r"`), "do not go together"},
		{"certificates of nobody", sigstore(`"pki":{"caRootsPath":"/c"}`), "subjectHostname"},
		{"OpenPGP of another kind", rule(`{"type":"signedBy","keyType":"x","keyPath":"/k"}`), "keyType"},
		{"OpenPGP without a key", rule(`{"type":"signedBy","keyType":"GPGKeys"}`), "exactly one"},
		{"base layer of nothing", rule(`{"type":"signedBaseLayer"}`), "baseLayerIdentity"},
		{"another identity", named(`"type":"future"`), `"future" is not known`},
		{"more of an identity", named(`"type":"matchExact","dockerReference":"x:1"`), "is not known"},
		{"reference without a tag", named(`"type":"exactReference","dockerReference":"library/x"`), "neither a tag nor a digest"},
		{"reference that is none", named(`"type":"exactReference","dockerReference":"X"`), "dockerReference"},
		{"repository that is none", named(`"type":"exactRepository","dockerRepository":"X"`), "dockerRepository"},
		{"remapIdentity without a prefix", named(`"type":"remapIdentity","prefix":"","signedPrefix":"docker.io/library"`), "prefix"},
		{"remapIdentity from a tag", named(`"type":"remapIdentity","prefix":"x.example/a","signedPrefix":"x.example/a:1"`), "prefix"},
		{"relative path", `{"default":[{"type":"reject"}],"transports":{"oci":{"srv":` + accepts + `}}}`, "no absolute path"},
		{"all paths", `{"default":[{"type":"reject"}],"transports":{"oci-archive":{"/":` + accepts + `}}}`, `written ""`},
		{"unclean path", `{"default":[{"type":"reject"}],"transports":{"dir":{"/a/../b":` + accepts + `}}}`, "no clean path"},
		{"path of a docker-archive", `{"default":[{"type":"reject"}],"transports":{"docker-archive":{"/a":` + accepts + `}}}`, "has none"},
		{"deep", strings.Repeat("[", 100000), "nests deeper"},
		{"large", strings.Repeat(" ", maxFile) + "{}", "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What the format knows and nothing here understands is said by its name.
func TestWhatIsNotUnderstood(t *testing.T) {
	for requirement, want := range map[string]string{
		`{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}`:                                                           "OpenPGP",
		`{"type":"sigstoreSigned","keyPath":"/k","rekorPublicKeyPath":"/r"}`:                                               "rekorPublicKeyPath",
		`{"type":"sigstoreSigned","pki":{"caRootsPath":"/c","subjectEmail":"m"}}`:                                          "certificate",
		`{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}`:                                             "signedBaseLayer",
		`{"type":"sigstoreSigned","fulcio":{"caPath":"/c","oidcIssuer":"i","subjectEmail":"m"},"rekorPublicKeyPath":"/r"}`: "keyless",
	} {
		p, err := Parse([]byte(`{"default":[` + requirement + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.For(&Name{}).Requirements[0]; r.Kind != Foreign || !strings.Contains(r.What, want) {
			t.Errorf("%s: %v", requirement, r)
		}
	}
}

func TestLines(t *testing.T) {
	p, err := Parse([]byte("{\n\"default\": [\n  {\"type\": \"reject\"}\n],\n\"transports\": {\"docker\": {\n\"a.example\":\n[{\"type\":\n\"insecureAcceptAnything\"},\n{\"type\":\"reject\"}]}}}"))
	if err != nil {
		t.Fatal(err)
	}
	n := shortname.Name{Host: "a.example", Repository: "x", Tag: "1"}
	r := p.For(&Name{Transport: "docker", Image: &n})
	if p.For(&Name{}).Requirements[0].Line != 3 || r.Line != 7 || r.Requirements[1].Line != 9 {
		t.Errorf("default %v, rule %v", p.For(&Name{}), r)
	}
	_, err = Parse([]byte("{\n\"default\": [\n{\"type\": \"reject\", \"x\": 1}]}"))
	if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") {
		t.Errorf("got %v", err)
	}
}

// FuzzPolicy: whatever a file says, it is refused or decides every image.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"default":[{"type":"reject"}],"transports":{"docker":{"*.io":[{"type":"sigstoreSigned","keyPath":"/k","signedIdentity":{"type":"remapIdentity","prefix":"docker.io","signedPrefix":"x.example"}}]}}}`))
	f.Add([]byte(`{"default":[{"type":"sigstoreSigned","keyDatas":["bm9uc2Vuc2U="],"signedIdentity":{"type":"exactReference","dockerReference":"x:1"}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Parse(raw)
		if err != nil {
			return
		}
		for _, n := range []*Name{image(t, "alpine:1"), {Transport: "oci", Path: "/no/such", Tag: "1"}, {}} {
			r := p.For(n)
			if len(r.Requirements) == 0 {
				t.Fatalf("nothing is asked of %v", n)
			}
			for _, q := range r.Requirements {
				q.Identity.Accepts(n.Image, "alpine:1")
			}
		}
	})
}
