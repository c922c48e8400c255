// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantError(t *testing.T, err error, word string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), word) {
		t.Errorf("got error %v, want one that says %q", err, word)
	}
}

func TestNarrowestNameFirst(t *testing.T) {
	path := writeFile(t, `{"auths": {
		"quay.io": {"auth": "YTpi"},
		"quay.io/team": {"auth": "Yzpk"},
		"https://index.docker.io/v1/": {"auth": "ZTpm"}
	}}`)
	k := New(path)
	for ref, want := range map[string]string{
		"quay.io/other/x": "a:b", "quay.io/team/x": "c:d", "quay.io/teams/x": "a:b", "docker.io/library/alpine": "e:f", "ghcr.io/x": ":",
	} {
		host, repository, _ := strings.Cut(ref, "/")
		c, err := k.Find(t.Context(), host, repository)
		if got := c.Username + ":" + c.Password; err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", ref, got, err, want)
		}
	}
}

func TestAuthFileErrors(t *testing.T) {
	for name, content := range map[string]string{"no JSON": "secret", "no base64": `{"auths":{"h":{"auth":"!secret!"}}}`} {
		_, err := New(writeFile(t, content)).Find(t.Context(), "h", "x")
		wantError(t, err, "config.json")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %q tells a secret", name, err)
		}
	}
	_, err := New("/nonexistent/file").Find(t.Context(), "h", "x")
	wantError(t, err, "/nonexistent/file")
}

func TestUsualFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "LAYERCTL_AUTH_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", dir)
	for path, auth := range map[string]string{
		"/.docker/config.json":          `{"auths":{"a.example":{"auth":"YTpi"}}}`,
		"/.config/containers/auth.json": `{"auths":{"b.example":{"auth":"Yzpk"}}}`,
	} {
		if err := os.MkdirAll(dir+path[:strings.LastIndex(path, "/")], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+path, []byte(auth), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for host, want := range map[string]string{"a.example": "a", "b.example": "c", "c.example": ""} {
		c, err := New("").Find(t.Context(), host, "x")
		if err != nil || c.Username != want {
			t.Errorf("%s: got %q, %v, want %q", host, c.Username, err, want)
		}
	}
	t.Setenv("LAYERCTL_AUTH_FILE", writeFile(t, `{"auths":{"c.example":{"username":"eve","password":"x"}}}`))
	for host, want := range map[string]string{"a.example": "", "c.example": "eve"} {
		c, err := New("").Find(t.Context(), host, "x")
		if err != nil || c.Username != want {
			t.Errorf("%s: got %q, %v, want %q", host, c.Username, err, want)
		}
	}
}
