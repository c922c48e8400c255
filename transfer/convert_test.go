// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layerstream"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

// read reads all of what a reference names, holds each layer to its diffID and
// its media type, and returns the media types, each once, and the configs.
func read(t *testing.T, c *registry.Client, ref string) (types []string, configs []digest.Digest) {
	t.Helper()
	s, err := c.Open(t.Context(), parseRef(t, ref))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	root, raw, err := s.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaves := []ocispec.Descriptor{root}
	if manifest.IsIndex(root.MediaType) {
		index, err := source.Walk(t.Context(), root, raw, s.Manifest, nil)
		if err != nil {
			t.Fatal(err)
		}
		leaves = slices.Collect(index.Leaves())
		types = append(types, root.MediaType)
	}
	for _, leaf := range leaves {
		raw, err := s.Manifest(t.Context(), leaf)
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.ParseManifest(raw, leaf.MediaType)
		if err != nil {
			t.Fatal(err)
		}
		types, configs = append(types, m.MediaType, m.Config.MediaType), append(configs, m.Config.Digest)
		rawConfig, err := s.Config(t.Context(), m.Config)
		if err != nil {
			t.Fatal(err)
		}
		var config ocispec.Image
		decode(t, rawConfig, &config)
		for n, l := range m.Layers {
			types = append(types, l.MediaType)
			if _, err := manifest.CompressionOf(l.MediaType); err == nil && len(l.URLs) == 0 {
				readLayer(t, s, l, config.RootFS.DiffIDs[n])
			}
		}
	}
	slices.Sort(types)
	return slices.Compact(types), configs
}

func readLayer(t *testing.T, s *registry.Source, l ocispec.Descriptor, diffID digest.Digest) {
	t.Helper()
	b, err := s.Blob(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	tar, err := layerstream.Open(t.Context(), b, layerstream.Options{MediaType: l.MediaType, Serial: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, tar)
	if tar.Digest() != diffID || tar.Mistyped() || errors.Join(err, tar.Close(err, false)) != nil {
		t.Errorf("%s (%s) has %s, want %s: %v", l.Digest, l.MediaType, tar.Digest(), diffID, err)
	}
}

const (
	dockerType = "application/vnd.docker."
	ociType    = "application/vnd.oci."
)

// TestConvert takes the hello image from form to form and from one compression
// to the other, each into a layout, a registry and an archive, and twice; in
// short into the layout and one of the others by turns.
func TestConvert(t *testing.T) {
	p := pushed(t)
	c := client(p)
	dir := t.TempDir()
	_, configs := read(t, c, hello)
	source := hello
	for n, step := range []struct {
		name     string
		o        Options
		sent     int
		prefix   string // of all media types
		contains string // one of them
	}{
		{"docker", Options{Form: manifest.Docker}, 12, dockerType, manifest.DockerLayerGzip},
		{"back", Options{Form: manifest.OCI}, 12, ociType, ocispec.MediaTypeImageLayerGzip},
		{"zstd", Options{Compress: manifest.Zstd}, 12, ociType, ocispec.MediaTypeImageLayerZstd},
		{"both", Options{Compress: manifest.Gzip, Form: manifest.Docker}, 12, dockerType, manifest.DockerLayerGzip},
		{"nothing to do", Options{Compress: manifest.Gzip, Form: manifest.Docker}, 12, dockerType, manifest.DockerLayerGzip},
	} {
		t.Run(step.name, func(t *testing.T) {
			was := digestOf(t, c, source)
			var is digest.Digest
			targets := []string{"oci:" + dir + "/" + step.name + ":1", p.Host + "/" + strings.Fields(step.name)[0] + ":1", "oci-archive:" + dir + "/" + step.name + ".tar:1"}
			if os.Getenv("LAYERCTL_FULL") != "1" {
				targets = []string{targets[0], targets[1+n%2]}
			}
			for _, to := range targets {
				done, err := Copy(t.Context(), c, parseRef(t, source), parseRef(t, to), step.o)
				if err != nil || done.Sent != step.sent || done.Manifests != 6 {
					t.Fatalf("%s: %+v, %v", to, done, err)
				}
				types, kept := read(t, c, to)
				if !slices.Equal(kept, configs) {
					t.Errorf("%s: configs became %s", to, kept)
				}
				if !slices.Contains(types, step.contains) || slices.ContainsFunc(types, func(s string) bool { return !strings.HasPrefix(s, step.prefix) }) {
					t.Errorf("%s has %q", to, types)
				}
				if is == "" {
					is = done.Root.Digest
				}
				changed := step.name != "nothing to do"
				if done.Root.Digest != is || digestOf(t, c, to) != is || (is != was) != changed || (done.Was.Digest == was) != changed {
					t.Errorf("%s: %s became %s, said to be %s; before that %s", to, was, done.Root.Digest, done.Was.Digest, is)
				}
				again, err := Copy(t.Context(), c, parseRef(t, source), parseRef(t, to), step.o)
				if err != nil || again.Sent+again.Manifests != 0 || again.Present != step.sent || again.Root.Digest != is {
					t.Errorf("%s again: %+v, %v", to, again, err)
				}
			}
			source = "oci:" + dir + "/" + step.name + ":1"
		})
	}
	dry, err := Copy(t.Context(), c, parseRef(t, hello), parseRef(t, "oci:"+dir+"/none:1"), Options{Compress: manifest.Zstd, DryRun: true})
	if err != nil || dry.Sent != 12 || digestOf(t, c, "oci:"+dir+"/zstd:1") == "" {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
}

// oddImage puts an image into a layout that has a layer of each kind that is no
// usual one, and an attestation, in an index.
func oddImage(t *testing.T, dir string, edit func(*ocispec.Manifest, *ocispec.Image)) string {
	t.Helper()
	l := imagetest.NewLayout(dir)
	tar := imagetest.Tar(imagetest.File("x", "y"))
	var image ocispec.Image
	image.OS, image.Architecture = "linux", "amd64"
	var m ocispec.Manifest
	m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
	add := func(mediaType string, blob []byte, of []byte) {
		m.Layers = append(m.Layers, l.Blob(mediaType, blob))
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, digest.FromBytes(of))
	}
	add(ocispec.MediaTypeImageLayer, tar, tar)
	add(ocispec.MediaTypeImageLayerGzip+"+encrypted", []byte("secret"), tar)
	add("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", []byte("elsewhere"), tar)
	m.Layers[2].URLs = []string{"https://example.com/layer"}
	m.Layers[0].Annotations = map[string]string{"io.github.containers.zstd-chunked.manifest-position": "1:2:3:1", "kept": "yes"}
	image.RootFS.Type = "layers"
	edit(&m, &image)
	m.Config = l.Blob(ocispec.MediaTypeImageConfig, imagetest.JSON(image))
	desc := l.Blob(m.MediaType, imagetest.JSON(m))
	desc.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	attestation := ocispec.Manifest{MediaType: m.MediaType, Config: l.Blob(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{l.Blob("application/vnd.in-toto+json", []byte("{}"))}}
	attestation.SchemaVersion = 2
	about := l.Blob(m.MediaType, imagetest.JSON(attestation))
	about.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	about.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": desc.Digest.String()}
	l.Tag(l.Index(desc, about), "1")
	return "oci:" + dir + ":1"
}

// TestConvertOddLayers leaves what cannot be packed anew as it is, and takes away
// what is not true any more.
func TestConvertOddLayers(t *testing.T) {
	dir := t.TempDir()
	c := client()
	from := oddImage(t, filepath.Join(dir, "from"), func(*ocispec.Manifest, *ocispec.Image) {})
	done, err := Copy(t.Context(), c, parseRef(t, from), parseRef(t, "oci:"+dir+"/to:1"), Options{Compress: manifest.Zstd})
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"2 layers are foreign, encrypted", "1 attestations are about digests that changed", "the digest is another one", "is foreign, and not copied"} {
		if !slices.ContainsFunc(done.Warnings, func(w string) bool { return strings.Contains(w, said) }) {
			t.Errorf("nothing says %q: %q", said, done.Warnings)
		}
	}
	types, _ := read(t, c, "oci:"+dir+"/to:1")
	want := []string{ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageIndex, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", ocispec.MediaTypeImageLayerGzip + "+encrypted", ocispec.MediaTypeImageLayerZstd, ocispec.MediaTypeImageManifest}
	slices.Sort(want)
	if !slices.Equal(types, want) {
		t.Errorf("got %q, want %q", types, want)
	}
	s, err := c.Open(t.Context(), parseRef(t, "oci:"+dir+"/to:1"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, raw, err := s.Root(t.Context())
	if err != nil || bytes.Contains(raw, []byte("attestation")) {
		t.Errorf("the index is %s, %v", raw, err)
	}
	var index ocispec.Index
	decode(t, raw, &index)
	if raw, err = s.Manifest(t.Context(), index.Manifests[0]); err != nil || bytes.Contains(raw, []byte("zstd-chunked")) || !bytes.Contains(raw, []byte(`"kept":"yes"`)) {
		t.Errorf("the manifest is %s, %v", raw, err)
	}
}

func TestConvertRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := client()
	nothing := func(*ocispec.Manifest, *ocispec.Image) {}
	usual := func(m *ocispec.Manifest, i *ocispec.Image) {
		m.Layers, i.RootFS.DiffIDs = m.Layers[:1], i.RootFS.DiffIDs[:1]
	}
	for _, tt := range []struct {
		name    string
		edit    func(*ocispec.Manifest, *ocispec.Image)
		o       Options
		kind    error
		message string
	}{
		{"what Docker has no type for", nothing, Options{Form: manifest.Docker}, errkind.Usage, "+encrypted"},
		{"zstd for Docker", usual, Options{Form: manifest.Docker, Compress: manifest.Zstd}, errkind.Usage, "zstd"},
		{"what refers to the image", usual, Options{Form: manifest.Docker, Referrers: true}, errkind.Usage, "names its digest"},
		{"another diffID", func(m *ocispec.Manifest, i *ocispec.Image) {
			usual(m, i)
			i.RootFS.DiffIDs[0] = digest.FromString("other")
		}, Options{Compress: manifest.Gzip}, errkind.Mismatch, "its tar is sha256:"},
		{"no diffID", func(m *ocispec.Manifest, i *ocispec.Image) {
			usual(m, i)
			i.RootFS.DiffIDs = nil
		}, Options{Compress: manifest.Gzip}, errkind.Malformed, "0 diffIDs"},
		{"not compressed as it says", func(m *ocispec.Manifest, i *ocispec.Image) {
			usual(m, i)
			m.Layers[0].MediaType = ocispec.MediaTypeImageLayerZstd
		}, Options{Compress: manifest.Gzip}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from := oddImage(t, filepath.Join(dir, tt.name), tt.edit)
			to := "oci:" + dir + "/to " + strings.Fields(tt.name)[0] + ":1"
			done, err := Copy(context.Background(), c, parseRef(t, from), parseRef(t, to), tt.o)
			if tt.kind == nil && err == nil {
				read(t, c, to)
				return
			}
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.message) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, %+v", err, done)
			}
		})
	}
	l := imagetest.NewLayout(filepath.Join(dir, "chart"))
	chart := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: l.Blob("application/vnd.cncf.helm.config.v1+json", []byte("{}")), Layers: []ocispec.Descriptor{l.Blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", []byte("x"))}}
	chart.SchemaVersion = 2
	l.Tag(l.Blob(chart.MediaType, imagetest.JSON(chart)), "1")
	if _, err := Copy(t.Context(), c, parseRef(t, "oci:"+dir+"/chart:1"), parseRef(t, "oci:"+dir+"/to:1"), Options{Form: manifest.Docker}); !errors.Is(err, errkind.Usage) {
		t.Errorf("a chart: %v", err)
	}
}
