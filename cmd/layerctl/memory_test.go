// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// A layer whose zstd window does not fit is refused with what would do, and
// that does.
func TestWindowBeyondMemory(t *testing.T) {
	l := imagetest.NewLayout(t.TempDir())
	tar := imagetest.Tar(imagetest.File("a", "a"))
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(tar))
	l.Tag(l.Manifest(config, l.Blob(ocispec.MediaTypeImageLayerZstd, imagetest.StoredZstd(26, tar))), "latest")
	pull := func(flags ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		args := slices.Concat([]string{"layerctl", "pull", "--quiet", "--store", filepath.Join(t.TempDir(), "store"), "--platform", "linux/amd64"}, flags, []string{"oci:" + l.Dir})
		return run(args, nil, &stdout, &stderr), stderr.String()
	}
	code, said := pull("--max-memory", "48MiB")
	if code != exitMalformed || !strings.Contains(said, "layer needs a zstd window of 67108864 bytes, and there is memory for") {
		t.Errorf("exit %d, want %d: %s", code, exitMalformed, said)
	}
	_, hint, _ := strings.Cut(said, "hint: ")
	hint, ok := strings.CutSuffix(strings.TrimSpace(hint), " has room for it")
	if !ok {
		t.Fatalf("got no hint: %s", said)
	}
	if code, said := pull(strings.Fields(hint)...); code != exitOK {
		t.Errorf("%s: exit %d: %s", hint, code, said)
	}
	if code, said := pull(); code != exitOK {
		t.Errorf("without a limit: exit %d: %s", code, said)
	}
}
