// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func seeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob(manifests + "/*/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(imageOf(layer(digestB, 7))))
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":[]}`))
}

// typed checks that an error is one of the two that callers know.
func typed(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && errors.Is(err, ErrMalformed) == errors.Is(err, ErrUnsupported) {
		t.Errorf("neither malformed nor unsupported, or both: %v", err)
	}
	return err == nil
}

func sane(t *testing.T, d ocispec.Descriptor) {
	t.Helper()
	if _, err := parseDigest(string(d.Digest)); err != nil || d.Size < 0 || d.MediaType == "" || len(d.URLs) > maxURLs {
		t.Errorf("got %+v", d)
	}
}

// member is the value that a reader takes who goes by exact keys: ours must be
// the same, or two readers see two images.
func member(t *testing.T, raw []byte, key string, v any) {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if m[key] != nil {
		if err := json.Unmarshal(m[key], v); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := ParseIndex(raw, "")
		if !typed(t, err) {
			return
		}
		if kind, err := Classify("", raw); kind != KindIndex {
			t.Errorf("classified %s, %v", kind, err)
		}
		var entries []struct{ Digest string }
		member(t, raw, "manifests", &entries)
		if len(entries) != len(x.Manifests) {
			t.Fatalf("got %d entries, want %d", len(x.Manifests), len(entries))
		}
		for i, d := range x.Manifests {
			sane(t, d)
			if string(d.Digest) != entries[i].Digest {
				t.Errorf("entry %d: got %s, want %s", i, d.Digest, entries[i].Digest)
			}
		}
	})
}

func FuzzParseImage(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseImage(raw, "")
		if !typed(t, err) {
			return
		}
		if kind, err := Classify("", raw); kind != KindImage {
			t.Errorf("classified %s, %v", kind, err)
		}
		if sane(t, m.Config); m.Config.URLs != nil {
			t.Errorf("urls of a config: %q", m.Config.URLs)
		}
		if m.Size() < 0 || len(m.Layers) > MaxLayers {
			t.Errorf("got %d bytes in %d layers", m.Size(), len(m.Layers))
		}
		for _, l := range m.Layers {
			sane(t, l)
			Layer{Descriptor: l}.Compression() // panics where it was not checked
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConfig(raw)
		if !typed(t, err) {
			return
		}
		for _, d := range c.DiffIDs {
			if _, err := parseDigest(string(d)); err != nil {
				t.Error(err)
			}
		}
		ChainID(c.DiffIDs)
	})
}

func FuzzClassify(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, mediaType := range []string{"", ocispec.MediaTypeImageIndex, DockerManifest} {
			kind, err := Classify(mediaType, raw)
			if typed(t, err) != (kind != KindUnknown) {
				t.Errorf("got %s, %v", kind, err)
			}
		}
	})
}
