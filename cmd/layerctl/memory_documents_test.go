// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// Documents that take more than a twelfth of the memory are refused by every
// command, with a word about what helps, and that helps.
func TestDocumentsBeyondMemory(t *testing.T) {
	l := imagetest.NewLayout(t.TempDir())
	tar := imagetest.Tar(imagetest.File("a", "a"))
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}, Author: strings.Repeat("a", 3<<20)}
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(tar))
	l.Tag(l.Manifest(config, l.Blob(ocispec.MediaTypeImageLayer, tar)), "latest")
	commands := [][]string{{"pull", "--dry-run"}, {"inspect", "--json"}, {"inspect", "--configs"}, {"ls"}, {"export", "--as", "oci-archive"}}
	if !full() {
		commands = commands[:1]
	}
	for _, command := range commands {
		t.Run(strings.Join(command, " "), func(t *testing.T) {
			try := func(memory string) (int, string) {
				var stdout, stderr bytes.Buffer
				args := slices.Concat([]string{"layerctl", "--quiet", "--store", t.TempDir() + "/store", "--platform", "linux/amd64", "--max-memory", memory}, command, []string{"oci:" + l.Dir})
				return run(args, nil, &stdout, &stderr), stderr.String()
			}
			if code, said := try("24MiB"); code != exitMalformed || !strings.Contains(said, "hint: --max-memory") {
				t.Errorf("exit %d, want %d and a hint: %s", code, exitMalformed, said)
			}
			if code, said := try("64MiB"); code != exitOK {
				t.Errorf("with more memory: exit %d: %s", code, said)
			}
		})
	}
}

// So are paths that no entry makes.
func TestPathsBeyondMemory(t *testing.T) {
	needsFull(t)
	l := imagetest.NewLayout(t.TempDir())
	var files []imagetest.Entry
	for i := range 3000 {
		files = append(files, imagetest.Dir(fmt.Sprintf("i%05d/a/b/c/d/e/f/g", i), 0o755))
	}
	tar := imagetest.Tar(files...)
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(tar))
	l.Tag(l.Manifest(config, l.Blob(ocispec.MediaTypeImageLayer, tar)), "latest")
	for _, command := range []string{"ls", "export"} {
		var stdout, stderr bytes.Buffer
		code := run([]string{"layerctl", command, "--quiet", "--store", t.TempDir() + "/store", "--platform", "linux/amd64", "--max-memory", "24MiB", "oci:" + l.Dir}, nil, &stdout, &stderr)
		if said := stderr.String(); code != exitMalformed || !strings.Contains(said, "hint: --max-memory") {
			t.Errorf("%s: exit %d, want %d and a hint: %s", command, code, exitMalformed, said)
		}
	}
}
