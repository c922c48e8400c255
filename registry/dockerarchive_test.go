// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
		imagetest.Dir("three/", 0o755),
		imagetest.Symlink("nowhere", "there"),
		imagetest.Symlink("passwd", "../../../../etc/passwd"),
		imagetest.Entry{Header: tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}},
		imagetest.File("config.json", string(imagetest.JSON(config))),
		imagetest.File("manifest.json", string(imagetest.JSON(images))),
	)), layer
}

var savedLayers = []string{"one/layer.tar", "two/layer.tar", "three/layer.tar"}

func TestDockerArchive(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	good := dockerImage{Config: "config.json", RepoTags: []string{"app:v1"}, Layers: savedLayers}
	other := dockerImage{Config: "config.json", RepoTags: []string{"app:v2"}, Layers: []string{savedLayers[2], savedLayers[1], savedLayers[0]}}
	tests := []struct {
		name   string
		images []dockerImage
		tag    string
		kind   error
	}{
		{"no image", nil, "", ErrNotFound},
		{"no such tag", []dockerImage{good}, ":v2", ErrNotFound},
		{"two images and no tag", []dockerImage{good, other}, "", ErrNotFound},
		{"a configuration that is a directory", []dockerImage{{Config: "three", Layers: savedLayers}}, "", ErrMalformed},
		{"a configuration that is a link to nothing", []dockerImage{{Config: "nowhere", Layers: savedLayers}}, "", ErrMalformed},
		{"a configuration that is a link out of the archive", []dockerImage{{Config: "passwd", Layers: savedLayers}}, "", ErrMalformed},
		{"a configuration that is a pipe", []dockerImage{{Config: "pipe", Layers: savedLayers}}, "", ErrMalformed},
		{"a layer from outside", []dockerImage{{Config: "config.json", Layers: []string{savedLayers[0], savedLayers[1], "../three/layer.tar"}}}, "", ErrMalformed},
		{"a layer of an absolute path", []dockerImage{{Config: "config.json", Layers: []string{savedLayers[0], savedLayers[1], "/etc/passwd"}}}, "", ErrMalformed},
		{"a layer that is a directory", []dockerImage{{Config: "config.json", Layers: []string{savedLayers[0], savedLayers[1], "three/"}}}, "", ErrMalformed},
		{"no name for the configuration", []dockerImage{{Layers: savedLayers}}, "", ErrMalformed},
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

// several is an archive of images whose configs are all different. Each has the
// names that are given for it.
func several(t *testing.T, names ...[]string) string {
	t.Helper()
	layer := imagetest.Tar(imagetest.File("a", "b"))
	entries := []imagetest.Entry{imagetest.File("layer.tar", string(layer))}
	var images []dockerImage
	for i, n := range names {
		config := ocispec.Image{Author: fmt.Sprint(i), RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}}}
		name := fmt.Sprintf("config-%d.json", i)
		entries = append(entries, imagetest.File(name, string(imagetest.JSON(config))))
		images = append(images, dockerImage{Config: name, RepoTags: n, Layers: []string{"layer.tar"}})
	}
	return writeFile(t, "several.tar", imagetest.Tar(append(entries, imagetest.File("manifest.json", string(imagetest.JSON(images))))...))
}

func TestDockerArchiveOfSeveralImages(t *testing.T) {
	t.Parallel()
	path := several(t,
		[]string{"localhost/app:v1", "reg.example:5000/team/app:v1"},
		[]string{"docker.io/library/app:v2", "app:latest"},
		[]string{"localhost/other:v1", "my__image:1.0_x"},
		nil,
		[]string{"library/web:v3", "web:v3"},
		[]string{"quay.io/web:v3"},
	)
	for _, tt := range []struct {
		name, want string
		words      []string // of the error, where there is one
	}{
		{":localhost/app:v1", "0", nil},
		{":reg.example:5000/team/app:v1", "0", nil},
		{":team/app:v1", "0", nil},
		{":app:v2", "1", nil},
		{":v2", "1", nil},
		{":app", "1", nil},
		{":app:latest", "1", nil},
		{":latest", "1", nil},
		{":my__image:1.0_x", "2", nil},
		{":1.0_x", "2", nil},
		{":other:v1", "2", nil},
		{":docker.io/library/web:v3", "4", nil},
		{":v1", "", []string{`"v1" is the name of several images`, `"localhost/app:v1"`, `"localhost/other:v1"`}},
		{":v3", "", []string{`"library/web:v3"`, `"quay.io/web:v3"`}},
		{"", "", []string{"several images", `"localhost/app:v1"`, `"docker.io/library/app:v2"`, `"@sha256:`}},
		{":none", "", []string{`no tag "none"`, `"localhost/app:v1"`, `"@sha256:`}},
		{"@sha256:" + someHex, "", []string{"no image sha256:" + someHex, `"localhost/app:v1"`}},
	} {
		r, err := Parse("docker-archive:" + path + tt.name)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got, err := authorOf(t, r)
		switch {
		case tt.words == nil && (err != nil || got != tt.want):
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		case tt.words != nil:
			wantError(t, err, ErrNotFound, tt.words...)
		}
	}
	// The one without a name goes by its digest, which the error tells.
	r, err := Parse("docker-archive:" + path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = authorOf(t, r)
	i := strings.Index(err.Error(), "sha256:")
	if got, err := authorOf(t, r.WithDigest(digest.Digest(err.Error()[i:i+71]))); err != nil || got != "3" {
		t.Errorf("by its digest: got %q, %v, want 3", got, err)
	}
}

// authorOf opens a reference and reads what its image's config has as author.
func authorOf(t *testing.T, r Reference) (string, error) {
	t.Helper()
	src, err := New(Options{}).Open(t.Context(), r)
	if err != nil {
		return "", err
	}
	defer src.Close()
	_, raw, err := src.Root(t.Context())
	if err != nil {
		return "", err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if raw, err = src.Config(t.Context(), m.Config); err != nil {
		return "", err
	}
	var config ocispec.Image
	err = json.Unmarshal(raw, &config)
	return config.Author, err
}

// What "docker save" writes with containerd's store is both: a layout, and
// beside it a manifest.json that names the layout's blobs.
func TestDockerArchiveOfContainerdsStore(t *testing.T) {
	t.Parallel()
	l := imagetest.NewLayout(t.TempDir())
	var images []dockerImage
	for _, name := range []string{"x", "y"} {
		layer := imagetest.Tar(imagetest.File(name, name))
		d := l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, layer, imagetest.Tar())
		d.Annotations = map[string]string{
			ocispec.AnnotationRefName:  "latest",
			"io.containerd.image.name": "docker.io/library/" + name + ":latest",
		}
		l.Add(d)
		var m ocispec.Manifest
		raw, err := os.ReadFile(l.Path(d.Digest))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		blob := func(d ocispec.Descriptor) string { return "blobs/sha256/" + d.Digest.Encoded() }
		images = append(images, dockerImage{Config: blob(m.Config), RepoTags: []string{name + ":latest"}, Layers: []string{blob(m.Layers[0]), blob(m.Layers[1])}})
	}
	if err := os.WriteFile(filepath.Join(l.Dir, "manifest.json"), imagetest.JSON(images), 0o644); err != nil {
		t.Fatal(err)
	}
	path := archiveOf(t, l.Dir)
	for _, kind := range []string{"docker-archive:", "oci-archive:"} {
		for _, name := range []string{":x", ":y:latest", ":docker.io/library/x:latest"} {
			src := open(t, New(Options{}), kind+path+name)
			_, raw, err := src.Root(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var m ocispec.Manifest
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			for _, d := range append(m.Layers, m.Config) {
				if _, err := readAll(t.Context(), src, d); err != nil {
					t.Errorf("%s%s: %v", kind, name, err)
				}
			}
		}
		r, err := Parse(kind + path + ":latest")
		if err != nil {
			t.Fatal(err)
		}
		_, err = authorOf(t, r)
		wantError(t, err, ErrNotFound, `"latest" is the name of several images`, "x:latest", "y:latest")
	}
}

// An image that is listed twice, under two names or none, is one image.
func TestDockerArchiveOfOneImageTwice(t *testing.T) {
	t.Parallel()
	one := dockerImage{Config: "config.json", RepoTags: []string{"app:v1"}, Layers: savedLayers}
	two := dockerImage{Config: "config.json", RepoTags: []string{"app:v2", "app:v1"}, Layers: savedLayers}
	for _, images := range [][]dockerImage{{one, two}, {one, one}, {two, {Config: "config.json", Layers: savedLayers}}} {
		path, _ := saved(t, images...)
		for _, tag := range []string{"", ":v1", ":app:v1"} {
			src := open(t, New(Options{}), "docker-archive:"+path+tag)
			if _, _, err := src.Root(t.Context()); err != nil {
				t.Errorf("%q: %v", tag, err)
			}
		}
	}
}

// The lists of an archive are bounded in what they take, not only in their text.
func TestArchiveListsAreBounded(t *testing.T) {
	t.Parallel()
	many := "[" + strings.Repeat("{},", 20_000) + "{}]"
	for name, b := range map[string][]byte{
		"docker-archive:many":  imagetest.Tar(imagetest.File("manifest.json", many)),
		"docker-archive:long":  imagetest.Tar(imagetest.File("manifest.json", "["+strings.Repeat(" ", MaxManifest)+"]")),
		"docker-archive:names": imagetest.Tar(imagetest.File("manifest.json", `[{"RepoTags":["`+strings.Repeat(`a:1","`, 10_000)+`"]}]`)),
		"docker-archive:none":  imagetest.Tar(imagetest.File("manifest.json", "{}")),
		"docker-archive:more":  imagetest.Tar(imagetest.File("manifest.json", "[] []")),
		"oci-archive:many": imagetest.Tar(imagetest.File("oci-layout", `{"imageLayoutVersion":"1.0.0"}`),
			imagetest.File("index.json", `{"manifests":`+many+`}`)),
		"oci-archive:long": imagetest.Tar(imagetest.File("oci-layout", `{"imageLayoutVersion":"1.0.0"}`),
			imagetest.File("index.json", `{"manifests":[]}`+strings.Repeat(" ", MaxManifest))),
	} {
		kind, _, _ := strings.Cut(name, ":")
		r, err := Parse(kind + ":" + writeFile(t, "x.tar", b))
		if err != nil {
			t.Fatal(err)
		}
		_, err = authorOf(t, r)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want %v", name, err, ErrMalformed)
		}
	}
}

// To find an image by its digest not all of a gigabyte of configs are read.
func TestDockerArchiveConfigsAreBounded(t *testing.T) {
	t.Parallel()
	entries := []imagetest.Entry{imagetest.File("big", "{}"+strings.Repeat(" ", 4<<20)), imagetest.File("l", "")}
	var images []dockerImage
	for i := range 100 {
		images = append(images, dockerImage{Config: "big", Layers: slices.Repeat([]string{"l"}, i+1)})
	}
	path := writeFile(t, "x.tar", imagetest.Tar(append(entries, imagetest.File("manifest.json", string(imagetest.JSON(images))))...))
	r, err := Parse("docker-archive:" + path + "@sha256:" + someHex)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(Options{}).Open(t.Context(), r)
	wantError(t, err, ErrMalformed, "configs of the images have more than")
}

// A layout and its archive that are called as the other kind say so.
func TestArchiveOfTheOtherKind(t *testing.T) {
	t.Parallel()
	path, _ := saved(t, dockerImage{Config: "config.json", Layers: savedLayers})
	for ref, word := range map[string]string{
		"oci-archive:" + path:                   "docker-archive: reads that",
		"docker-archive:" + archiveOf(t, hello): "oci-archive: reads that",
	} {
		r, err := Parse(ref)
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(Options{}).Open(t.Context(), r)
		wantError(t, err, ErrMalformed, word)
	}
}

func TestDockerArchiveLayerIsVerified(t *testing.T) {
	t.Parallel()
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

// TestPodmanArchives reads several images of one archive that another program
// wrote, compressed by others.
func TestPodmanArchives(t *testing.T) {
	run := func(name string, arg ...string) {
		t.Helper()
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
		if out, err := exec.Command(name, arg...).CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", name, arg, err, out)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: podman with a storage of its own")
	}
	if !full() {
		t.Skip("runs podman eight times: LAYERCTL_FULL=1 runs it")
	}
	dir := t.TempDir()
	podman := func(arg ...string) {
		t.Helper()
		run("podman", append([]string{"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "vfs"}, arg...)...)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		file := filepath.Join(dir, arch+".tar")
		run("skopeo", "copy", "--override-os=linux", "--override-arch="+arch, "oci:"+hello+":latest", "docker-archive:"+file+":localhost/app:"+arch)
		podman("load", "-i", file)
	}
	podman("tag", "localhost/app:amd64", "quay.io/team/app:v1")
	podman("tag", "localhost/app:arm64", "localhost/team/app:v1")
	file := filepath.Join(dir, "all.tar")
	podman("save", "--multi-image-archive", "-o", file, "localhost/app:amd64", "quay.io/team/app:v1", "localhost/app:arm64", "localhost/team/app:v1")

	files := []string{file}
	for _, c := range []string{"gzip", "bzip2", "xz", "zstd"} {
		if _, err := exec.LookPath(c); err == nil {
			run(c, "-k", file)
		}
	}
	compressed, err := filepath.Glob(file + ".*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, compressed...) {
		for tag, arch := range map[string]string{"amd64": "amd64", "app:arm64": "arm64", "quay.io/team/app:v1": "amd64", "localhost/team/app:v1": "arm64"} {
			if got := savedArch(t, "docker-archive:"+file+":"+tag); got != arch {
				t.Errorf("%s, %s: got an image for %q, want %q", filepath.Base(file), tag, got, arch)
			}
		}
		for _, tag := range []string{"", ":v1", ":team/app:v1"} {
			r, err := Parse("docker-archive:" + file + tag)
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(Options{}).Open(t.Context(), r)
			wantError(t, err, ErrNotFound, "several images", `"localhost/app:a`)
		}
	}
}

// savedArch reads all of an image, and says what it is for.
func savedArch(t *testing.T, ref string) string {
	t.Helper()
	src := open(t, New(Options{}), ref)
	_, raw, err := src.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil || len(m.Layers) != 3 {
		t.Fatalf("got %s, %v", raw, err)
	}
	for _, d := range m.Layers {
		if _, err := readAll(t.Context(), src, d); err != nil {
			t.Error(err)
		}
	}
	raw, err = src.Config(t.Context(), m.Config)
	if err != nil {
		t.Fatal(err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	return config.Architecture
}
