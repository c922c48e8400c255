// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// alone keeps this machine's own files and environment away.
func alone(t *testing.T) (home string) {
	t.Helper()
	for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "LAYERCTL_AUTH_FILE", "DOCKER_AUTH_CONFIG"} {
		t.Setenv(name, "")
	}
	home = t.TempDir()
	t.Setenv("HOME", home)
	return home
}

func TestKeysAsToolsWriteThem(t *testing.T) {
	alone(t)
	const ours = "a:b" // YTpi
	for key, want := range map[string]string{
		"docker.io":                                 "docker.io/library/x",
		"docker.io/":                                "docker.io/library/x",
		"https://docker.io":                         "docker.io/library/x",
		"http://docker.io/v1/":                      "docker.io/library/x",
		"index.docker.io":                           "docker.io/library/x",
		"index.docker.io/v1/":                       "docker.io/library/x",
		"https://index.docker.io/v1/":               "docker.io/library/x",
		"https://index.docker.io/v1/refresh-token":  "docker.io/library/x",
		"https://index.docker.io:443/v1/":           "docker.io/library/x",
		"registry-1.docker.io":                      "docker.io/library/x",
		"registry-1.docker.io:443":                  "docker.io/library/x",
		"https://registry-1.docker.io/v2/":          "docker.io/library/x",
		"docker.io/library":                         "docker.io/library/x",
		"docker.io/library/x":                       "docker.io/library/x",
		"index.docker.io/library":                   "docker.io/library/x",
		"reg.example:5000":                          "reg.example:5000/x",
		"https://reg.example:5000":                  "reg.example:5000/x",
		"http://reg.example:5000/v2/":               "reg.example:5000/x",
		"reg.example:5000/v1":                       "reg.example:5000/x",
		"https://reg.example/some/path":             "reg.example/x",
		"docker.io/other":                           "",
		"reg.example:443":                           "",
		"https://evil.example/reg.example":          "",
		"xdocker.io":                                "",
		"docker.io.evil.example":                    "",
		"ftp://docker.io":                           "",
		"https://docker.io@evil.example/docker.io/": "",
	} {
		store := New(writeFile(t, fmt.Sprintf(`{"auths":{"other.example":{"auth":"eDp5"},%q:{"auth":"YTpi"}}}`, key)))
		for _, name := range []string{"docker.io/library/x", "reg.example:5000/x", "reg.example/x"} {
			host, repository, _ := strings.Cut(name, "/")
			l, err := store.Find(t.Context(), host, repository)
			got := l.Username + ":" + l.Password
			if expected := map[bool]string{true: ours, false: ":"}[name == want]; err != nil || got != expected {
				t.Errorf("key %s, for %s: got %q, %v, want %q", key, name, got, err, expected)
			}
		}
	}
}

func TestExactKeyFirst(t *testing.T) {
	alone(t)
	store := New(writeFile(t, `{"auths":{
		"https://h.example/v1/":{"auth":"YTpi"}, "http://h.example":{"auth":"eDp5"}, "h.example":{"auth":"Yzpk"},
		"docker.io":{}, "https://index.docker.io/v1/":{"auth":"ZTpm"}}}`))
	for host, want := range map[string]string{"h.example": "c", "docker.io": "e"} {
		if l, err := store.Find(t.Context(), host, "x"); err != nil || l.Username != want {
			t.Errorf("%s: got %q, %v, want %q", host, l.Username, err, want)
		}
	}
}

func TestBrokenEntries(t *testing.T) {
	alone(t)
	for _, broken := range []string{`"bad.example":{"auth":"!secret!"}`, `"bad.example":5`, `"bad.example":{"auth":["secret"]}`, `"bad.example":{"auth":"c2VjcmV0"}`} {
		store := New(writeFile(t, `{"auths":{`+broken+`,"h.example":{"auth":"YTpi"}},"credHelpers":{"bad.example":["x"]}}`))
		if l, err := store.Find(t.Context(), "h.example", "x"); err != nil || l.Username != "a" {
			t.Errorf("%s spoils the file: %+v, %v", broken, l, err)
		}
		l, err := store.Find(t.Context(), "bad.example", "x")
		wantError(t, err, "bad.example")
		if strings.Contains(fmt.Sprint(err), "secret") || l != (Login{}) {
			t.Errorf("%s: got %+v, error %v", broken, l, err)
		}
	}
}

func TestFormsOfAuth(t *testing.T) {
	alone(t)
	for entry, want := range map[string]Login{
		`{"auth":"YTpi"}`:                                   {Username: "a", Password: "b"},
		`{"auth":"YTpiOmM="}`:                               {Username: "a", Password: "b:c"},
		`{"auth":"YTpiOmM"}`:                                {Username: "a", Password: "b:c"},
		`{"auth":"YTpiAAA="}`:                               {Username: "a", Password: "b"},
		`{"auth":"Og=="}`:                                   {},
		`{"username":"u","password":"p"}`:                   {Username: "u", Password: "p"},
		`{"username":"u","password":"p","auth":"YTpi"}`:     {Username: "a", Password: "b"},
		`{"auth":"YTpi","identitytoken":"t","email":"x"}`:   {Username: "a", Password: "b", IdentityToken: "t"},
		`{"registrytoken":"t"}`:                             {RegistryToken: "t"},
		`{"username":"u","password":"p","auth":"!broken!"}`: {Username: "u", Password: "p"},
		`null`: {},
	} {
		l, err := New(writeFile(t, `{"auths":{"h":`+entry+`}}`)).Find(t.Context(), "h", "x")
		if err != nil || l != want {
			t.Errorf("%s: got %+v, %v, want %+v", entry, l, err, want)
		}
	}
}

func TestWhatIsNoFile(t *testing.T) {
	alone(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	long := writeFile(t, `{"auths":{"h":{"auth":"`+strings.Repeat("A", maxFile)+`"}}}`)
	for path, word := range map[string]string{fifo: "no regular file", t.TempDir(): "no regular file", "/dev/zero": "no regular file", long: "more than"} {
		_, err := New(path).Find(t.Context(), "h", "x")
		wantError(t, err, word)
	}
	for _, path := range []string{os.DevNull, writeFile(t, ""), writeFile(t, " \n"), writeFile(t, "{}"), writeFile(t, `{"auths":null,"credsStore":""}`)} {
		if l, err := New(path).Find(t.Context(), "h", "x"); err != nil || l != (Login{}) {
			t.Errorf("%s: got %+v, %v, want nothing", path, l, err)
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, s := range []string{
		`{"auths":{"docker.io":{"auth":"YTpi"},"https://index.docker.io/v1/":{}},"credHelpers":{"h":"x"},"credsStore":"y"}`,
		`{"auths":[]}`, `{"credHelpers":{"h":5}}`, `null`, `[]`, `{"auths":{"://":{"auth":"Og=="}}}`,
	} {
		f.Add([]byte(s), "docker.io")
	}
	f.Fuzz(func(t *testing.T, raw []byte, host string) {
		file, err := parse("config.json", raw)
		if err != nil {
			return
		}
		for _, key := range file.keysOf(host) {
			_, _ = file.auths[key].login()
		}
		for _, q := range file.helpersOf(host, true) {
			if q.key == "" && host != "" {
				t.Errorf("helper %q is asked for nothing", q.helper)
			}
		}
	})
}
