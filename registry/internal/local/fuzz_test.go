// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"io"
	"io/fs"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// FuzzLayoutIndex reads an image layout whose index.json is anything.
func FuzzLayoutIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:00","size":1,"annotations":{"org.opencontainers.image.ref.name":"a"}}]}`), "a")
	f.Add([]byte(`{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/library/a:b"}},{"platform":{"os":"linux"}}]}`), "")
	f.Add([]byte(`{"manifests":null}`), "b")
	f.Fuzz(func(t *testing.T, index []byte, name string) {
		a := tarOf(t, imagetest.File("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), imagetest.File("index.json", string(index)))
		l := &Layout{Name{Path: "x", Tag: name}, a}
		desc, raw, err := l.Root(t.Context())
		if err != nil {
			if len(err.Error()) > 20_000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if desc.Size != int64(len(raw)) || desc.Digest.Algorithm().FromBytes(raw) != desc.Digest {
			t.Errorf("got %+v for %d bytes", desc, len(raw))
		}
	})
}

// FuzzDockerManifest reads an archive whose manifest.json is anything.
func FuzzDockerManifest(f *testing.F) {
	f.Add([]byte(`[{"Config":"c.json","RepoTags":["a:b"],"Layers":["l"]}]`), "b")
	f.Add([]byte(`[{"RepoTags":null},{"Config":"../c.json","RepoTags":["x"],"Layers":[]}]`), "x")
	f.Add([]byte(`null`), "")
	f.Fuzz(func(t *testing.T, manifest []byte, name string) {
		a := tarOf(t, imagetest.File("manifest.json", string(manifest)), imagetest.File("c.json", `{"rootfs":{"type":"layers","diff_ids":[]}}`), imagetest.File("l", "x"))
		d := &DockerArchive{name: Name{Path: "x", Tag: name}, files: a}
		saved, err := d.readManifest()
		if err != nil {
			return
		}
		if len(saved) > maxListed {
			t.Fatalf("%d images", len(saved))
		}
		_, err = choose(d.imagesOf(t.Context(), saved), name)
		if err != nil && len(err.Error()) > 20_000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}

func tarOf(t *testing.T, entries ...imagetest.Entry) *memory {
	t.Helper()
	b := imagetest.Tar(entries...)
	contents, _, err := indexTar(t.Context(), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return &memory{b, contents}
}

// memory is the files of an archive in memory.
type memory struct {
	raw      []byte
	contents map[string]extent
}

func (m *memory) open(name string) (file, error) {
	key, _ := clean(name)
	e, ok := m.contents[key]
	if !ok || e.link != "" || e.other != "" {
		return file{}, fs.ErrNotExist
	}
	return file{io.NopCloser(bytes.NewReader(m.raw[e.offset : e.offset+e.size])), e.size}, nil
}

func (m *memory) close() error { return nil }
