// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const manifests = "../testdata/manifests"

func readFile(t *testing.T, name ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{manifests}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refused checks that err is of the kind, nil being none, and says so.
func refused(t *testing.T, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	if err == nil {
		return
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("got %q, want it to say %q", err, says)
	}
	if other := map[error]error{ErrMalformed: ErrUnsupported, ErrUnsupported: ErrMalformed}[kind]; errors.Is(err, other) {
		t.Errorf("%v is both malformed and unsupported", err)
	}
	if strings.ContainsAny(err.Error(), "\x1b\n\a") {
		t.Errorf("%q would write to a terminal", err)
	}
}

// Each file whose exact bytes are in testdata has the digest that SHA256SUMS
// gives it and that the others name it by.
func TestDigestsOfRealManifests(t *testing.T) {
	for _, dir := range []string{"alpine-3.20", "spegel-0.0.8", "scannerctl-0.1.1"} {
		files := map[string]digest.Digest{}
		for line := range strings.Lines(string(readFile(t, dir, "SHA256SUMS"))) {
			sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
			files[name] = digest.Digest("sha256:" + sum)
		}
		entries, err := os.ReadDir(filepath.Join(manifests, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if want := files[e.Name()]; filepath.Ext(e.Name()) == ".json" && digest.FromBytes(readFile(t, dir, e.Name())) != want {
				t.Errorf("%s/%s is not %s", dir, e.Name(), want)
			}
		}
		index, err := ParseIndex(readFile(t, dir, "index.json"), ocispec.MediaTypeImageIndex)
		if err != nil {
			t.Fatal(err)
		}
		if digest.FromBytes(index.Raw) != files["index.json"] {
			t.Errorf("%s: Raw is not the bytes of index.json", dir)
		}
		named := map[digest.Digest]bool{}
		for _, e := range index.Manifests {
			named[e.Digest] = true
		}
		for name, d := range files {
			if strings.HasPrefix(name, "manifest-") && !named[d] {
				t.Errorf("%s: the index does not name %s", dir, name)
			}
		}
	}
}

// A real image of eight platforms, from the index down to the chainID.
func TestRealImageEndToEnd(t *testing.T) {
	const dir = "alpine-3.20"
	index, err := ParseIndex(readFile(t, dir, "index.json"), ocispec.MediaTypeImageIndex)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(index.Manifests), 8; got != want {
		t.Fatalf("entries: got %d, want %d", got, want)
	}
	for _, e := range index.Manifests {
		name := e.Platform.Architecture
		if e.Platform.Variant != "" {
			name += "-" + e.Platform.Variant
		}
		raw := readFile(t, dir, "manifest-"+name+".json")
		if digest.FromBytes(raw) != e.Digest || int64(len(raw)) != e.Size {
			t.Errorf("manifest %s is not %s of %d bytes", name, e.Digest, e.Size)
		}
		if kind, err := Classify(e.MediaType, raw); kind != KindImage || err != nil {
			t.Errorf("classify %s: got %s, %v", name, kind, err)
		}
		image, err := ParseImage(raw, e.MediaType)
		if err != nil {
			t.Fatal(err)
		}
		raw = readFile(t, dir, "config-"+name+".json")
		if digest.FromBytes(raw) != image.Config.Digest || int64(len(raw)) != image.Config.Size {
			t.Errorf("config %s is not %s", name, image.Config.Digest)
		}
		config, err := ParseConfig(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := config.Platform, *e.Platform; got.OS != want.OS || got.Architecture != want.Architecture || got.Variant != want.Variant {
			t.Errorf("config %s: got %v, want %v", name, got, want)
		}
		if config.Created == nil || config.Created.Year() != 2026 {
			t.Errorf("config %s: created: got %v", name, config.Created)
		}
		layers, err := PairLayers(image, config)
		if err != nil {
			t.Fatal(err)
		}
		if len(layers) != 1 || layers[0].Compression() != Gzip || ChainID(config.DiffIDs) != layers[0].DiffID || image.Size() != layers[0].Descriptor.Size {
			t.Errorf("layers %s: got %+v", name, layers)
		}
	}
}

// Every real or real-shaped index in testdata parses.
func TestEveryIndexInTestdata(t *testing.T) {
	count := 0
	err := filepath.WalkDir(manifests, func(p string, d fs.DirEntry, err error) error {
		name := filepath.Base(p)
		if err != nil || d.IsDir() || filepath.Ext(p) != ".json" || strings.HasPrefix(name, "config-") || strings.HasPrefix(name, "manifest-") {
			return err
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		count++
		if kind, err := Classify("", raw); kind != KindIndex || err != nil {
			t.Errorf("%s: got %s, %v", p, kind, err)
		}
		if _, err := ParseIndex(raw, ""); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 20 {
		t.Errorf("got %d indexes, want 20", count)
	}
}

// Small documents for the tests of what is refused.
const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func desc(mediaType, dgst string, size int, more ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, dgst, size, strings.Join(more, ""))
}

func indexOf(entries ...string) string {
	return `{"schemaVersion":2,"manifests":[` + strings.Join(entries, ",") + `]}`
}

func imageOf(layers ...string) string {
	return `{"schemaVersion":2,"config":` + desc(ocispec.MediaTypeImageConfig, digestA, 7) + `,"layers":[` + strings.Join(layers, ",") + `]}`
}

func layer(dgst string, size int, more ...string) string {
	return desc(ocispec.MediaTypeImageLayerGzip, dgst, size, more...)
}
