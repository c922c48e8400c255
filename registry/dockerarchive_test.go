// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// dockerImage is one image of a docker archive's manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// saved is an archive in the form of "docker save", old enough to keep a layer
// once and link to it.
func saved(t *testing.T, images ...dockerImage) (path string, layer []byte) {
	t.Helper()
	layer = imagetest.Tar(imagetest.File("etc/hello", "hello\n"))
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{
		digest.FromBytes(layer), digest.FromBytes(layer), digest.FromBytes(layer),
	}}}
	return writeFile(t, "saved.tar", imagetest.Tar(
		imagetest.File("one/layer.tar", string(layer)),
		imagetest.Symlink("two/layer.tar", "../one/layer.tar"),
		imagetest.File("three/layer.tar", string(imagetest.Gzip(layer))),
		imagetest.File("config.json", string(imagetest.JSON(config))),
		imagetest.File("manifest.json", string(imagetest.JSON(images))),
	)), layer
}

var savedLayers = []string{"one/layer.tar", "two/layer.tar", "three/layer.tar"}

func TestDockerArchive(t *testing.T) {
	path, layer := saved(t, dockerImage{Config: "config.json", RepoTags: []string{"app:v1"}, Layers: savedLayers})
	for _, tag := range []string{"", ":v1", ":app:v1", ":docker.io/library/app:v1"} {
		src := open(t, New(Options{}), "docker-archive:"+path+tag)
		desc, raw, err := src.Root(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := digest.FromBytes(raw); got != desc.Digest || desc.MediaType != ocispec.MediaTypeImageManifest {
			t.Errorf("got %s, %+v", got, desc)
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		want := [][]byte{layer, layer, imagetest.Gzip(layer)}
		types := []string{ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip}
		for i, d := range m.Layers {
			got, err := readAll(t.Context(), src, d)
			if err != nil || !bytes.Equal(got, want[i]) || d.MediaType != types[i] {
				t.Errorf("layer %d, %s: got %d bytes, %v, want %d", i, d.MediaType, len(got), err, len(want[i]))
			}
		}
		if _, err := src.Config(t.Context(), m.Config); err != nil {
			t.Error(err)
		}
	}
}

func TestDockerArchiveErrors(t *testing.T) {
	good := dockerImage{Config: "config.json", RepoTags: []string{"app:v1"}, Layers: savedLayers}
	other := dockerImage{Config: "config.json", RepoTags: []string{"app:v2"}, Layers: savedLayers}
	tests := []struct {
		name   string
		images []dockerImage
		tag    string
		kind   error
	}{
		{"no image", nil, "", ErrNotFound},
		{"no such tag", []dockerImage{good}, ":v2", ErrNotFound},
		{"two images and no tag", []dockerImage{good, other}, "", ErrNotFound},
		{"no config", []dockerImage{{Config: "none", Layers: savedLayers}}, "", ErrMalformed},
		{"a config from outside", []dockerImage{{Config: "../../../etc/passwd", Layers: savedLayers}}, "", ErrMalformed},
		{"a layer too few", []dockerImage{{Config: "config.json", Layers: savedLayers[:2]}}, "", ErrMalformed},
		{"a layer that is not there", []dockerImage{{Config: "config.json", Layers: []string{"a", "b", "c"}}}, "", ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, _ := saved(t, tt.images...)
			r, err := Parse("docker-archive:" + path + tt.tag)
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(Options{}).Open(t.Context(), r)
			wantError(t, err, tt.kind)
		})
	}
}

func TestDockerArchiveLayerIsVerified(t *testing.T) {
	layer := imagetest.Tar(imagetest.File("a", "b"))
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString("other")}}}
	path := writeFile(t, "saved.tar", imagetest.Tar(
		imagetest.File("l.tar", string(layer)),
		imagetest.File("config.json", string(imagetest.JSON(config))),
		imagetest.File("manifest.json", string(imagetest.JSON([]dockerImage{{Config: "config.json", Layers: []string{"l.tar"}}}))),
	))
	src := open(t, New(Options{}), "docker-archive:"+path)
	_, err := readAll(t.Context(), src, ocispec.Descriptor{Digest: digest.FromString("other"), Size: int64(len(layer))})
	wantError(t, err, ErrMismatch, digest.FromBytes(layer).String())
}

// TestSkopeoArchives reads what another program writes.
func TestSkopeoArchives(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("needs skopeo: ", err)
	}
	for _, kind := range []string{"oci-archive", "docker-archive"} {
		path := filepath.Join(t.TempDir(), "x.tar")
		out, err := exec.Command(skopeo, "copy", "--override-os=linux", "--override-arch=amd64",
			"oci:"+hello+":latest", kind+":"+path+":app:v1").CombinedOutput()
		if err != nil {
			t.Fatalf("skopeo: %v\n%s", err, out)
		}
		src := open(t, New(Options{}), kind+":"+path)
		_, raw, err := src.Root(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(raw, &m); err != nil || len(m.Layers) != 3 {
			t.Fatalf("%s: got %s, %v", kind, raw, err)
		}
		for _, d := range append(m.Layers, m.Config) {
			if _, err := readAll(t.Context(), src, d); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}
