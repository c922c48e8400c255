// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/internal/imagetest"
)

func TestAvailable(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  int64
	}{
		"version 2": {map[string]string{
			"proc/self/cgroup":               "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":   "max\n",
			"sys/fs/cgroup/a/memory.max":     "67108864\n",
			"sys/fs/cgroup/other/memory.max": "1\n",
		}, 64 << 20},
		"version 1": {map[string]string{
			"proc/self/cgroup": "9:cpu:/x\n4:memory:/c\n",
			"sys/fs/cgroup/memory/c/memory.limit_in_bytes": "33554432\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
			"sys/fs/cgroup/x/memory.max":                   "1\n",
		}, 32 << 20},
		"in a namespace of its own": {map[string]string{
			"proc/self/cgroup":         "0::/../../x\n",
			"sys/fs/cgroup/memory.max": "50331648\n",
		}, 48 << 20},
		"none": {nil, available("/nonexistent")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range test.files {
				if err := os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := available(root); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestDivide(t *testing.T) {
	most := layerctl.DefaultJobs()
	const mib = 1 << 20
	tests := []struct {
		memory       int64
		jobs, ranges int
		want         share
	}{
		{24 * mib, 0, 0, share{1, 0, 1 * mib, 0}},
		{48 * mib, 2, 0, share{2, 0, 2 * mib, 6 * mib}},
		{256 * mib, 0, 0, share{most, 0, 4 * mib, int64(242-16*most) * mib}},
		{256 * mib, 9, 0, share{9, 0, 4 * mib, 98 * mib}},
		{1, 0, 0, share{1, 0, 1 * mib, 0}},
		// Each range takes 4 MiB, and one more is passed on.
		{51 * mib, 0, 4, share{1, 4, 2 * mib, 3 * mib}},
		{51 * mib, 0, 16, share{1, 5, 1 * mib, 0}},
		{48 * mib, 2, 4, share{2, 1, 2 * mib, 6 * mib}},
		{24 * mib, 0, 4, share{1, 1, 1 * mib, 0}},
		{256 * mib, 2, 4, share{2, 4, 4 * mib, 170 * mib}},
	}
	for _, test := range tests {
		if got := divide(test.memory, test.jobs, test.ranges); got != test.want {
			t.Errorf("%d MiB, %d jobs, %d ranges: got %+v, want %+v", test.memory/mib, test.jobs, test.ranges, got, test.want)
		}
	}
}

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
