// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// exported writes an archive to a file and names it as a reference.
func (s *cached) exported(t *testing.T, c *Client, ref string, o ExportOptions) (string, Exported) {
	t.Helper()
	var out bytes.Buffer
	done, err := c.Export(t.Context(), ref, &out, o)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	format := o.Format
	if format == "" {
		format = OCIArchive
	}
	return string(format) + ":" + name, done
}

// add has the registry serve what the layout holds now, and names desc in it.
func (s *cached) add(desc ocispec.Descriptor) string {
	s.layout.Tag(desc, "added")
	s.AddLayout(s.layout.Dir, "added")
	return s.Host + "/image@" + desc.Digest.String()
}

// What an archive holds is pulled from it again: all is there, and verified.
func TestExportKeepsDigests(t *testing.T) {
	for _, format := range []ExportFormat{OCIArchive, DockerArchive} {
		t.Run(string(format), func(t *testing.T) {
			s := newCached(t, Options{KeepBlobs: true})
			want, _ := s.pull(t, s.ref)
			archive, _ := s.exported(t, s.offline(), s.ref, ExportOptions{Format: format})
			if asked := s.Requests(); len(asked) != 0 {
				t.Errorf("an export of what is kept asked %q", asked)
			}
			into := newCached(t, Options{})
			got, _ := into.pull(t, archive+":"+s.ref+":latest")
			if got.Image.Config != want.Image.Config || got.Fetched != 2 {
				t.Errorf("config %s, %d layers, want %s and 2", got.Image.Config, got.Fetched, want.Image.Config)
			}
			if format == OCIArchive && got.Image.Manifest != want.Image.Manifest {
				t.Errorf("manifest %s, want %s", got.Image.Manifest, want.Image.Manifest)
			}
		})
	}
}

func TestExportFetchesEachBlobOnce(t *testing.T) {
	var kinds []progress.Kind
	s := newCached(t, Options{KeepBlobs: true, Progress: func(e progress.Event) {
		if e.Number < 1 || e.Of != 2 {
			t.Errorf("event of layer %d/%d", e.Number, e.Of)
		}
		if kinds = append(kinds, e.Kind); len(kinds) > 1 && kinds[len(kinds)-2] == e.Kind {
			kinds = kinds[:len(kinds)-1]
		}
	}})
	_, done := s.exported(t, s.client, s.ref, ExportOptions{})
	if done.Manifest.Digest != s.image.Digest {
		t.Errorf("chose %s, want %s", done.Manifest.Digest, s.image.Digest)
	}
	if asked := s.Requests(); len(asked) != 5 {
		t.Errorf("asked %q, want index, manifest, config and two layers", asked)
	}
	if want := []progress.Kind{progress.LayerMissing, progress.LayerProgress, progress.LayerDone, progress.LayerProgress, progress.LayerDone}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	s.exported(t, s.offline(), s.ref, ExportOptions{}) // they were kept
}

func TestExportAllPlatforms(t *testing.T) {
	s := newCached(t, Options{})
	nested := s.layout.Index(s.inspected.image(linuxARM64))
	index := s.layout.Index(s.image, s.inspected.image(linuxAMD64), nested)
	ref := s.add(index)
	archive, done := s.exported(t, s.client, ref, ExportOptions{AllPlatforms: true})
	if done.Root.Digest != index.Digest {
		t.Errorf("root %s, want %s", done.Root.Digest, index.Digest)
	}
	into := newCached(t, Options{})
	for _, platform := range []string{"linux/arm/v7", "linux/amd64", "linux/arm64"} {
		want, err := s.client.For(platform).Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		got, err := into.client.For(platform).Pull(t.Context(), into.store, archive)
		if err != nil || got.Manifest.Digest != want.Manifest.Digest {
			t.Errorf("%s: got %s, %v, want %s", platform, got.Manifest.Digest, err, want.Manifest.Digest)
		}
	}
}

func TestExportOfWhatIsDamaged(t *testing.T) {
	s := newCached(t, Options{KeepBlobs: true})
	pulled, _ := s.pull(t, s.ref)
	record, err := s.store.Layer(pulled.Image.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.store.Path(), "blobs", "blobs", "sha256", record.Blobs[0].Digest.Encoded())
	raw := readFile(t, name)
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Export(t.Context(), s.ref, io.Discard, ExportOptions{}); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("got %v, want %v", err, cache.ErrMiss)
	}
	s.exported(t, s.client, s.ref, ExportOptions{}) // the damaged one is gone
	full := errors.New("no room")
	if _, err := s.client.Export(t.Context(), s.ref, broken{full}, ExportOptions{}); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestExportOffline(t *testing.T) {
	s := newCached(t, Options{})
	s.pull(t, s.ref)
	if _, err := s.offline().Export(t.Context(), s.ref, io.Discard, ExportOptions{}); !errors.Is(err, ErrOffline) {
		t.Errorf("got %v, want %v", err, ErrOffline)
	}
}

func TestExportNames(t *testing.T) {
	s := newCached(t, Options{})
	layout := "oci:" + s.layout.Dir
	pinned := s.Host + "/image@" + s.image.Digest.String()
	for _, c := range []struct {
		name, ref, option string
		tags              string // of manifest.json
		fault             error
	}{
		{"a tag in a registry", s.ref, "", `["` + s.Host + `/image:latest"]`, nil},
		{"a digest", pinned, "", `null`, nil},
		{"a layout", layout, "", `null`, nil},
		{"said", layout, "alpine", `["docker.io/library/alpine:latest"]`, nil},
		{"said of a digest", pinned, "a.example/b:c", `["a.example/b:c"]`, nil},
		{"a digest is no name", s.ref, "alpine@" + s.image.Digest.String(), "", registry.ErrReference},
		{"a path is no name", s.ref, "oci:dir", "", registry.ErrReference},
		{"no name at all", s.ref, "a b", "", registry.ErrReference},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			done, err := s.client.Export(t.Context(), c.ref, &out, ExportOptions{Format: DockerArchive, Name: c.option})
			if !errors.Is(err, c.fault) {
				t.Fatalf("got %v, want %v", err, c.fault)
			}
			if err == nil && !strings.Contains(out.String(), `"RepoTags":`+c.tags) {
				t.Errorf("manifest.json has not %s", c.tags)
			}
			if warned := len(done.Warnings) > 0; err == nil && warned != (c.tags == "null") {
				t.Errorf("warnings %q", done.Warnings)
			}
		})
	}
}

func TestExportWarnsOfZstd(t *testing.T) {
	s := newCached(t, Options{})
	tar := imagetest.Tar(imagetest.File("f", "x"))
	config := ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(tar)}}}
	ref := s.add(s.layout.Manifest(config, s.layout.Blob(ocispec.MediaTypeImageLayerZstd, tar)))
	for format, want := range map[ExportFormat]int{DockerArchive: 1, OCIArchive: 0} {
		if _, done := s.exported(t, s.client, ref, ExportOptions{Format: format, Name: "a"}); len(done.Warnings) != want {
			t.Errorf("%s: warnings %q", format, done.Warnings)
		}
	}
}
