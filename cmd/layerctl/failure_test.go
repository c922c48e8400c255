// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
)

var amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}

// Each kind of failure has its exit code, one line that says what, which and
// why, and leaves nothing visible in the store.
func TestFailures(t *testing.T) {
	needsFull(t)
	tests := []struct {
		name string
		ref  func(t *testing.T) string
		args []string
		code int
		says []string
	}{
		{
			name: "a flipped byte in a layer",
			ref:  flippedLayer,
			code: exitMismatch,
			says: []string{"layer 1/1 sha256:"},
		},
		{
			name: "a missing tag in a layout",
			ref:  func(*testing.T) string { return "oci:" + helloLayout + ":nosuch" },
			code: exitNotFound,
			says: []string{"nosuch"},
		},
		{
			name: "a missing tag in a registry",
			ref:  func(t *testing.T) string { return servedHello(t) + "/hello:nosuch" },
			code: exitNotFound,
			says: []string{"hello:nosuch"},
		},
		{
			name: "a missing layout",
			ref:  func(t *testing.T) string { return "oci:" + filepath.Join(t.TempDir(), "none") },
			code: exitNotFound,
			says: []string{"none"},
		},
		{
			name: "no such platform",
			ref:  func(*testing.T) string { return "oci:" + helloLayout },
			args: []string{"--platform", "linux/s390x"},
			code: exitNotFound,
			says: []string{"linux/s390x", "linux/amd64", "linux/arm/v5", "linux/arm64"},
		},
		{
			name: "a registry that is not there",
			ref:  func(t *testing.T) string { return closedPort(t) + "/hello" },
			code: exitNetwork,
			says: []string{"127.0.0.1:", "refused"},
		},
		{
			name: "a layer that writes outside",
			ref: layerOf(imagetest.Entry{
				Header: tar.Header{Name: "../outside"}, Body: "x",
			}),
			code: exitMalformed,
			says: []string{`"../outside"`, "layer 1/1"},
		},
		{
			name: "more entries than allowed",
			ref:  layerOf(imagetest.File("a", ""), imagetest.File("b", "")),
			args: []string{"--max-entries", "1"},
			code: exitMalformed,
			says: []string{"entries", "1"},
		},
		{
			name: "more bytes than allowed",
			ref:  layerOf(imagetest.File("a", strings.Repeat("x", 9000))),
			args: []string{"--max-size", "8k"},
			code: exitMalformed,
			says: []string{"bytes", "8000"},
		},
		{
			name: "a path deeper than allowed",
			ref:  layerOf(imagetest.File("a/b/c", "")),
			args: []string{"--max-depth", "2"},
			code: exitMalformed,
			says: []string{`"a/b/c"`},
		},
		{
			name: "a disk that is to stay free",
			ref:  layerOf(imagetest.File("a", "x")),
			args: []string{"--reserve", "1000T"},
			code: exitFilesystem,
			says: []string{"free"},
		},
		{
			name: "a device that is to be a whiteout, with --strict",
			ref:  fakeWhiteout,
			args: []string{"--strict"},
			code: exitMalformed,
			says: []string{`"gone"`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := filepath.Join(t.TempDir(), "store")
			ref := test.ref(t)
			host, _, _ := strings.Cut(ref, "/")
			args := append([]string{"pull", "--quiet", "--store", store, "--platform", "linux/amd64", "--plain-http", host, ref}, test.args...)
			if strings.HasPrefix(ref, "oci:") {
				args = append([]string{"pull", "--quiet", "--store", store, "--platform", "linux/amd64", ref}, test.args...)
			}
			c := layerctlCommand(t, args...)
			if code := c.code(t); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			checkFailure(t, c, test.says)
			for _, dir := range []string{"staging", "layers", "images", "refs"} {
				if got := entries(t, filepath.Join(store, dir)); len(got) != 0 {
					t.Errorf("%s after the failure: %v, want nothing", dir, got)
				}
			}
		})
	}
}

func TestStoreThatMayNotBeWritten(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]string{"a file in the way": blocked, "below a file": blocked + "/store", "a read-only filesystem": "/proc/layerctl"} {
		t.Run(name, func(t *testing.T) {
			c := layerctlCommand(t, "pull", "--quiet", "--store", store, "--platform", "linux/amd64", "oci:"+helloLayout)
			if code := c.code(t); code != exitFilesystem {
				t.Errorf("exit %d, want %d", code, exitFilesystem)
			}
			checkFailure(t, c, []string{store})
		})
	}
}

// checkFailure wants one line of error with all that it should say, a hint at
// the most beside it, and no data.
func checkFailure(t *testing.T, c *command, says []string) {
	t.Helper()
	if c.stdout.Len() != 0 {
		t.Errorf("a failed command printed data: %q", &c.stdout)
	}
	lines := strings.Split(strings.TrimSuffix(c.stderr.String(), "\n"), "\n")
	if len(lines) > 2 || !strings.HasPrefix(lines[0], "layerctl: error: ") || len(lines) == 2 && !strings.HasPrefix(lines[1], "layerctl: hint: ") {
		t.Errorf("not one line of error and a hint at the most: %q", lines)
	}
	for _, s := range says {
		if !strings.Contains(c.stderr.String(), s) {
			t.Errorf("%q does not say %q", lines[0], s)
		}
	}
}

func servedHello(t *testing.T) string {
	s := serve(t, nil)
	push(t, s, "hello", "latest", helloLayout)
	return s.host
}

// closedPort is an address of this machine that nothing listens at.
func closedPort(t *testing.T) string {
	host, release := registrytest.ClosedPort()
	t.Cleanup(release)
	return host
}

// layerOf makes an image of one layer with these entries.
func layerOf(entries ...imagetest.Entry) func(*testing.T) string {
	return func(t *testing.T) string {
		layout := imagetest.NewLayout(t.TempDir())
		layout.Tag(layout.Image(amd64, imagetest.Tar(entries...)), "latest")
		return "oci:" + layout.Dir
	}
}

// fakeWhiteout is an image that brings a device which would be a whiteout.
func fakeWhiteout(t *testing.T) string {
	return layerOf(
		imagetest.File("kept", ""),
		imagetest.Entry{Header: tar.Header{Name: "gone", Typeflag: tar.TypeChar}},
	)(t)
}

func TestPullTellsWhatItTolerated(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	ref := fakeWhiteout(t)
	for _, again := range []bool{false, true} {
		c := layerctlCommand(t, "pull", "--verbose", "--store", store, "--platform", "linux/amd64", ref)
		if code := c.code(t); code != exitOK {
			t.Fatalf("exit %d: %s", code, &c.stderr)
		}
		if !strings.Contains(c.stderr.String(), "layer 1/1") || !strings.Contains(c.stderr.String(), "tolerated: ") {
			t.Errorf("again %t: nothing tolerated in %q", again, &c.stderr)
		}
	}
}

func flippedLayer(t *testing.T) string {
	layout := imagetest.NewLayout(t.TempDir())
	tarball := imagetest.Tar(imagetest.File("file", strings.Repeat("content ", 100)))
	blob := layout.Path(layout.Blob(ocispec.MediaTypeImageLayerGzip, imagetest.Gzip(tarball)).Digest)
	layout.Tag(layout.Image(amd64, tarball), "latest")
	b, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	b[5] ^= 1 // of the header's time, which decompression does not mind
	if err := os.WriteFile(blob, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return "oci:" + layout.Dir
}
