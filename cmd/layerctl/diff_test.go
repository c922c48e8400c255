// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/schematest"
)

// twoImages are two images in one layout, "a" and "b", that share a layer and
// differ in all that can differ.
func twoImages(t *testing.T) *imagetest.Layout {
	t.Helper()
	layout := imagetest.NewLayout(t.TempDir())
	base := imagetest.Tar(imagetest.Dir("etc/", 0o755), imagetest.File("etc/keep", "kept"), imagetest.File("etc/old", "old"), imagetest.File("etc/motd", "hello"), imagetest.Symlink("l", "etc"))
	p := ocispec.Platform{OS: "linux", Architecture: "arm64"}
	layout.Tag(layout.Image(p, base), "a")
	layout.Tag(layout.Image(p, base, imagetest.Tar(
		imagetest.File("etc/.wh.old", ""), imagetest.File("etc/motd", "hello, world"), imagetest.File("etc/new\x1b[2J", "new"), imagetest.Symlink("l", "usr"), imagetest.Dir("etc/", 0o700),
	)), "b")
	return layout
}

// The text and the JSON of what differs, from the layers of a layout and from
// the journals of a store.
func TestDiff(t *testing.T) {
	layout := twoImages(t)
	store := filepath.Join(t.TempDir(), "store")
	args := []string{"diff", "--platform", "linux/arm64", "--store", store, "oci:" + layout.Dir + ":a", "oci:" + layout.Dir + ":b"}
	want := strings.ReplaceAll(wantDiff, "DIR", layout.Dir)
	if got := output(t, args...); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	schematest.Check(t, exactShapeOf(t, "diff"), output(t, append(args, "--json")...))

	output(t, append([]string{"pull", "-q", "--no-sync", "--platform", "linux/arm64", "--store", store}, args[5:]...)...)
	// From now on the layers are nowhere but in the store.
	for _, d := range layersOf(t, layout) {
		if err := os.Remove(layout.Path(d)); err != nil {
			t.Fatal(err)
		}
	}
	if got := output(t, args...); got != want {
		t.Errorf("from the store: got\n%s\nwant\n%s", got, want)
	}
}

const wantDiff = `A  oci:DIR:a  linux/arm64
B  oci:DIR:b  linux/arm64

layers  1 shared (217 B), 0 of A alone, 1 of B alone (230 B)
files   1 added (+3 B), 1 removed (-3 B), 3 changed (+7 B)

files
~ /etc  mode 0755 -> 0700
~ /etc/motd  content 5 B -> 12 B
+ /etc/new\x1b[2J  3 B
- /etc/old  3 B
~ /l  target etc -> usr
`

// A layer that both have is fetched once.
func TestDiffFetchesOnce(t *testing.T) {
	layout := twoImages(t)
	s := serve(t, nil)
	var index ocispec.Index
	decodeFile(t, filepath.Join(layout.Dir, "index.json"), &index)
	for _, desc := range index.Manifests {
		pushManifest(t, s, "two", desc.Annotations[ocispec.AnnotationRefName], layout.Dir, desc)
	}
	s.blobs()
	output(t, "diff", "--platform", "linux/arm64", "--store", filepath.Join(t.TempDir(), "none"), "--plain-http", s.host, s.host+"/two:a", s.host+"/two:b")
	if got := s.blobs(); got != 4 {
		t.Errorf("%d blobs were fetched, want two configs and two layers", got)
	}
}

// layersOf are the digests of all layers of a layout's images.
func layersOf(t *testing.T, layout *imagetest.Layout) map[string]digest.Digest {
	t.Helper()
	all := map[string]digest.Digest{}
	var index ocispec.Index
	decodeFile(t, filepath.Join(layout.Dir, "index.json"), &index)
	for _, desc := range index.Manifests {
		var m ocispec.Manifest
		decodeFile(t, blobPath(layout.Dir, desc.Digest), &m)
		for _, l := range m.Layers {
			all[l.Digest.String()] = l.Digest
		}
	}
	return all
}
