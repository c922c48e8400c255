// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// shelf has blobs by their digest, and counts how often each is opened.
type shelf struct {
	blobs  map[digest.Digest]io.Reader
	opened []digest.Digest
}

func (s *shelf) Blob(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s.opened = append(s.opened, desc.Digest)
	r, ok := s.blobs[desc.Digest]
	if !ok {
		return nil, errors.New("not on the shelf")
	}
	return io.NopCloser(r), nil
}

func describe(mediaType, content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
}

func document(mediaType, content string) Document {
	return Document{Descriptor: describe(mediaType, content), Raw: []byte(content)}
}

// sample is an image of two layers, one of them twice, and where they are.
func sample() (Image, *shelf) {
	one, two := describe(ocispec.MediaTypeImageLayerGzip, "layer one"), describe(ocispec.MediaTypeImageLayerGzip, "layer two")
	return Image{
			Manifest: document(ocispec.MediaTypeImageManifest, "a manifest"),
			Config:   document(ocispec.MediaTypeImageConfig, "a config"),
			Layers:   []ocispec.Descriptor{one, two, one},
		}, &shelf{blobs: map[digest.Digest]io.Reader{
			one.Digest: strings.NewReader("layer one"), two.Digest: strings.NewReader("layer two"),
		}}
}

// entries reads an archive; the names come in their order.
func entries(t *testing.T, raw []byte) (names []string, files map[string]string) {
	t.Helper()
	files = map[string]string{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return names, files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s belongs to %d:%d %q:%q", h.Name, h.Uid, h.Gid, h.Uname, h.Gname)
		}
		if h.ModTime.Unix() != 0 {
			t.Errorf("%s is of %s, want the epoch", h.Name, h.ModTime)
		}
		names, files[h.Name] = append(names, h.Name), string(content)
	}
}

func blobOf(content string) string { return "blobs/sha256/" + digest.FromString(content).Encoded() }

func TestWriteOCI(t *testing.T) {
	image, blobs := sample()
	var out bytes.Buffer
	root := image.Manifest.Descriptor
	root.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	root.Annotations = map[string]string{"of": "an index"}
	err := WriteOCI(t.Context(), &out, blobs, Contents{Root: root, Images: []Image{image}}, Options{Name: "example.com/app:1", Tag: "1"})
	if err != nil {
		t.Fatal(err)
	}
	names, files := entries(t, out.Bytes())
	want := []string{
		"oci-layout", "index.json", "manifest.json", "blobs/", "blobs/sha256/",
		blobOf("a manifest"), blobOf("a config"), blobOf("layer one"), blobOf("layer two"),
	}
	if !slices.Equal(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
	for _, content := range []string{"a manifest", "a config", "layer one", "layer two"} {
		if got := files[blobOf(content)]; got != content {
			t.Errorf("blob of %q is %q", content, got)
		}
	}
	var index ocispec.Index
	if err := json.Unmarshal([]byte(files["index.json"]), &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("index.json %s: %v", files["index.json"], err)
	}
	got := index.Manifests[0]
	named := map[string]string{"io.containerd.image.name": "example.com/app:1", "org.opencontainers.image.ref.name": "1"}
	if got.Digest != root.Digest || got.Platform.Variant != "v7" || !maps.Equal(got.Annotations, named) {
		t.Errorf("index.json names %+v", got)
	}
	if want := []digest.Digest{image.Layers[0].Digest, image.Layers[1].Digest}; !slices.Equal(blobs.opened, want) {
		t.Errorf("opened %q, want each once: %q", blobs.opened, want)
	}
}

func TestWriteOCIOfAnIndex(t *testing.T) {
	image, blobs := sample()
	other := Image{Manifest: document(ocispec.MediaTypeImageManifest, "another"), Config: image.Config, Layers: image.Layers[:1]}
	index := document(ocispec.MediaTypeImageIndex, "an index")
	var out bytes.Buffer
	err := WriteOCI(t.Context(), &out, blobs, Contents{Root: index.Descriptor, Indexes: []Document{index}, Images: []Image{image, other}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	names, files := entries(t, out.Bytes())
	want := []string{
		"oci-layout", "index.json", "blobs/", "blobs/sha256/", blobOf("an index"),
		blobOf("a manifest"), blobOf("a config"), blobOf("layer one"), blobOf("layer two"), blobOf("another"),
	}
	if !slices.Equal(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
	if strings.Contains(files["index.json"], "annotations") {
		t.Errorf("index.json names what has no name: %s", files["index.json"])
	}
}

func TestWriteDocker(t *testing.T) {
	image, blobs := sample()
	var out bytes.Buffer
	if err := WriteDocker(t.Context(), &out, blobs, image, Options{Name: "localhost:5000/app:1", Tag: "1"}); err != nil {
		t.Fatal(err)
	}
	names, files := entries(t, out.Bytes())
	config := image.Config.Descriptor.Digest.Encoded() + ".json"
	want := []string{"manifest.json", "repositories", config, "blobs/", "blobs/sha256/", blobOf("layer one"), blobOf("layer two")}
	if !slices.Equal(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
	if files[config] != "a config" {
		t.Errorf("the config is %q", files[config])
	}
	one, two := blobOf("layer one"), blobOf("layer two")
	manifest := `[{"Config":"` + config + `","RepoTags":["localhost:5000/app:1"],"Layers":["` + one + `","` + two + `","` + one + `"]}]`
	if files["manifest.json"] != manifest {
		t.Errorf("manifest.json is %s, want %s", files["manifest.json"], manifest)
	}
	if want := `{"localhost:5000/app":{"1":"` + image.Layers[2].Digest.Encoded() + `"}}`; files["repositories"] != want {
		t.Errorf("repositories is %s, want %s", files["repositories"], want)
	}
}

func TestSameBytesTwice(t *testing.T) {
	for _, modTime := range []time.Time{{}, time.Unix(1e9, 5).In(time.FixedZone("", 3600))} {
		var sums []digest.Digest
		for range 2 {
			image, blobs := sample()
			var out bytes.Buffer
			if err := WriteDocker(t.Context(), &out, blobs, image, Options{Name: "a/b:c", ModTime: modTime}); err != nil {
				t.Fatal(err)
			}
			h, err := tar.NewReader(bytes.NewReader(out.Bytes())).Next()
			if err != nil || !modTime.IsZero() && h.ModTime.Unix() != 1e9 {
				t.Errorf("%v of %s: %v", modTime, h.ModTime, err)
			}
			sums = append(sums, digest.FromBytes(out.Bytes()))
		}
		if sums[0] != sums[1] {
			t.Errorf("%v: %s, then %s", modTime, sums[0], sums[1])
		}
	}
}

// What is not right ends the archive where it is seen: no reader takes it for
// a whole one.
func TestMismatch(t *testing.T) {
	broken := errors.New("the line broke")
	for _, c := range []struct {
		name  string
		layer io.Reader
		want  error
	}{
		{"shorter", strings.NewReader("layer t"), ErrMismatch},
		{"longer", strings.NewReader("layer two and more"), ErrMismatch},
		{"other bytes", strings.NewReader("layer 222"), ErrMismatch},
		{"empty", strings.NewReader(""), ErrMismatch},
		{"broken off", io.MultiReader(strings.NewReader("layer"), failing{broken}), broken},
		{"wrong at its end", io.MultiReader(strings.NewReader("layer two"), failing{broken}), broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			image, blobs := sample()
			blobs.blobs[image.Layers[1].Digest] = c.layer
			var out bytes.Buffer
			err := WriteDocker(t.Context(), &out, blobs, image, Options{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), image.Layers[1].Digest.String()) {
				t.Errorf("got %v, want %v of %s", err, c.want, image.Layers[1].Digest)
			}
			if bytes.HasSuffix(out.Bytes(), make([]byte, 1024)) {
				t.Error("the archive has a tar's end")
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Nothing is written of what is wrong before it begins.
func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*Image){
		"a digest that is a path":   func(i *Image) { i.Layers[0].Digest = "sha256:../../../etc/passwd" },
		"an unknown algorithm":      func(i *Image) { i.Layers[0].Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" },
		"a layer of negative size":  func(i *Image) { i.Layers[0].Size = -1 },
		"a manifest of other bytes": func(i *Image) { i.Manifest.Raw = []byte("b manifest") },
		"a config of another size":  func(i *Image) { i.Config.Descriptor.Size++ },
	} {
		t.Run(name, func(t *testing.T) {
			image, blobs := sample()
			change(&image)
			var out bytes.Buffer
			contents := Contents{Root: image.Manifest.Descriptor, Images: []Image{image}}
			if err := WriteOCI(t.Context(), &out, blobs, contents, Options{}); err == nil || out.Len() > 0 {
				t.Errorf("OCI: %v, %d bytes", err, out.Len())
			}
			if err := WriteDocker(t.Context(), &out, blobs, image, Options{}); err == nil || out.Len() > 0 {
				t.Errorf("Docker: %v, %d bytes", err, out.Len())
			}
		})
	}
}
