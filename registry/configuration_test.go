// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMirrorsAndKeyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docker.io"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "server = \"https://registry-1.docker.io\"\n[host.\"https://mirror.example:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "docker.io", "hosts.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := New(Options{HostsDir: dir, AuthFile: "/a/file"})
	got, err := c.Mirrors("docker.io")
	if want := []string{"https://mirror.example:5000/v2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("mirrors %q, error %v; want %q", got, err, want)
	}
	if got := c.KeyFiles(); !slices.Equal(got, []string{"/a/file"}) {
		t.Errorf("key files %q", got)
	}
}
