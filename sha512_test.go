// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/overlaystore"
)

// bySHA512 is a cached client, and an index, a manifest, a config and layers
// that are all named by sha512.
func bySHA512(t *testing.T, diffIDs digest.Algorithm) (*cached, ocispec.Descriptor, *imagetest.Layout) {
	t.Helper()
	s := newCached(t, Options{KeepBlobs: true})
	l := imagetest.NewLayout(t.TempDir())
	l.Algorithm = digest.SHA512
	config := ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers"}}
	var layers []ocispec.Descriptor
	for _, tarball := range [][]byte{
		imagetest.Tar(imagetest.File("a", "a"), imagetest.File("d/x", "x")),
		imagetest.Tar(imagetest.File("b", "b"), imagetest.File("d/.wh.x", "")),
	} {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffIDs.FromBytes(tarball))
		layers = append(layers, l.Blob(ocispec.MediaTypeImageLayerGzip, imagetest.Gzip(tarball)))
	}
	index := l.Index(l.Manifest(config, layers...))
	l.Tag(index, "latest")
	s.AddLayout(l.Dir, "sha512")
	return s, index, l
}

// TestSHA512: what is named by sha512 goes where all else goes.
func TestSHA512(t *testing.T) {
	s, index, l := bySHA512(t, digest.SHA256)
	for name, ref := range map[string]string{
		"a tag":              s.Host + "/image:sha512",
		"a digest":           s.Host + "/image@" + index.Digest.String(),
		"a layout":           "oci:" + l.Dir + ":latest",
		"a layout by digest": "oci:" + l.Dir + "@" + index.Digest.String(),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.client.Pull(t.Context(), s.store, ref); err != nil {
				t.Fatal(err)
			}
			report, err := s.store.Verify(t.Context(), overlaystore.VerifyOptions{})
			if err != nil || len(report.Differences) != 0 {
				t.Errorf("verified: %+v, %v", report.Differences, err)
			}
			archive, _ := s.exported(t, s.client, ref, ExportOptions{Format: OCIArchive})
			for _, from := range []string{ref, archive} {
				dir := filepath.Join(t.TempDir(), "tree")
				if _, err := s.client.Unpack(t.Context(), from, dir, UnpackOptions{}); err != nil {
					t.Fatal(err)
				}
				if names := namesIn(dir); names != "a b d" {
					t.Errorf("%s: got %s", from, names)
				}
			}
		})
	}
	t.Run("offline", func(t *testing.T) {
		if _, err := s.offline().Pull(t.Context(), s.store, s.Host+"/image@"+index.Digest.String()); err != nil {
			t.Error(err)
		}
	})
}

func namesIn(dir string) (names string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names += " " + e.Name()
	}
	return names[min(1, len(names)):]
}

func TestSHA512OfOtherBytes(t *testing.T) {
	s, _, l := bySHA512(t, digest.SHA256)
	blobs, err := filepath.Glob(filepath.Join(l.Dir, "blobs/sha512/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range blobs {
		raw := readFile(t, blob)
		raw[len(raw)/2] ^= 1
		if err := os.WriteFile(blob, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.Pull(t.Context(), s.store, "oci:"+l.Dir+":latest"); !errors.Is(err, errkind.Mismatch) {
			t.Errorf("of %d bytes: got %v, want a mismatch", len(raw), err)
		}
		raw[len(raw)/2] ^= 1
		if err := os.WriteFile(blob, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		// The layer that is right waits for the next pull.
		if _, err := s.store.Prune(t.Context(), overlaystore.PruneOptions{Partial: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiffIDsBySHA512: the store has no name for such a layer, and is not needed
// to read it.
func TestDiffIDsBySHA512(t *testing.T) {
	s, _, _ := bySHA512(t, digest.SHA512)
	ref := s.Host + "/image:sha512"
	if _, err := s.client.Plan(t.Context(), s.store, ref); !errors.Is(err, errkind.Malformed) {
		t.Errorf("plan: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "tree")
	if _, err := s.client.Unpack(t.Context(), ref, dir, UnpackOptions{Store: s.store}); err != nil {
		t.Error(err)
	}
	if names := namesIn(dir); names != "a b d" {
		t.Errorf("unpacked %s", names)
	}
	root, err := s.client.RootFS(t.Context(), ref, RootFSOptions{Store: s.store})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(root, "b"); err != nil || string(b) != "b" {
		t.Errorf("read %q, %v", b, err)
	}
	if err := root.Close(); err != nil {
		t.Error(err)
	}
}
