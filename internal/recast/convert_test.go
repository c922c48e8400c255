// SPDX-License-Identifier: Apache-2.0

package recast

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// The tars of the images in a converted store: app stands on base and needs a
// fix layer.
var (
	base = imagetest.Tar(
		imagetest.Dir("tmp/", 0o1777), imagetest.File("etc/conf", "base"), imagetest.Dir("d/", 0o700), imagetest.File("d/gone", ""))
	app = imagetest.Tar(
		imagetest.File("d/app", strings.Repeat("app", 5000)), imagetest.Hardlink("d/link", "d/app"), imagetest.File("etc/.wh.conf", ""), imagetest.File("e/.wh..wh..opq", ""))
	stacks = map[string][][]byte{"base": {base}, "app": {base, app}}
)

// blobs are the layers as they were fetched, by digest.
type blobs map[digest.Digest][]byte

func (b blobs) open(want layer.Blob) (io.ReadCloser, error) {
	raw, ok := b[want.Digest]
	if !ok {
		return nil, errkind.New(errkind.Mismatch, "not in the cache")
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

// add keeps a layer compressed.
func (b blobs) add(tar []byte) []byte {
	blob := imagetest.Gzip(tar)
	b[digest.FromBytes(blob)] = blob
	return blob
}

func open(t testing.TB, dir string, lower layer.Lower) *overlaystore.Store {
	t.Helper()
	s, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{Lower: lower})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fetched puts the images into a store, as pulls do.
func fetched(t testing.TB, s *overlaystore.Store) blobs {
	t.Helper()
	kept := blobs{}
	for name, tars := range stacks {
		img := overlaystore.Image{Manifest: digest.FromString(name), Config: digest.FromString(name + ".json")}
		for _, tar := range tars {
			blob, diffID := kept.add(tar), digest.FromBytes(tar)
			img.Layers = append(img.Layers, diffID)
			if err := fetch(t.Context(), s, diffID, blob); err != nil && !errors.Is(err, overlaystore.ErrExists) {
				t.Fatal(err)
			}
		}
		_, err := s.PutImage(t.Context(), img)
		err = errors.Join(err, s.Tag(t.Context(), name, img.Manifest, overlaystore.TagOptions{}))
		if err != nil {
			t.Fatal(err)
		}
	}
	return kept
}

func fetch(ctx context.Context, s *overlaystore.Store, diffID digest.Digest, blob []byte) error {
	st, err := s.Stage(ctx, diffID)
	if err != nil {
		return err
	}
	defer st.Discard()
	typ := ocispec.MediaTypeImageLayerGzip
	rec, err := fill(ctx, st, bytes.NewReader(blob), unpack.Source{MediaType: typ, DiffID: diffID}, unpack.Options{Form: s.Format().Form})
	if err != nil {
		return err
	}
	rec.Blobs = []layer.Blob{{Digest: digest.FromBytes(blob), Size: int64(len(blob)), MediaType: typ}}
	return errors.Join(st.Seal(ctx, rec), s.Commit(ctx, st))
}

// both converts in each direction.
func both(t *testing.T, each func(t *testing.T, from, to layer.Lower)) {
	t.Helper()
	layertest.NeedsRoot(t, "it makes a store of tars")
	for _, lower := range []layer.Lower{layer.Directories, layer.Tars} {
		other := layer.Directories
		if lower == other {
			other = layer.Tars
		}
		t.Run(fmt.Sprintf("%s to %s", lower, other), func(t *testing.T) { each(t, lower, other) })
	}
}

// records are the files of a store that say what is in it, and the indexes, by
// their paths.
func records(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"layers/*/*", "fix/*/*", "refs/*"} {
		list, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if raw, err := os.ReadFile(p); err == nil {
				found[strings.TrimPrefix(p, dir)] = string(raw)
			}
		}
	}
	return found
}

func TestConvertedStoreIsAsPulled(t *testing.T) {
	both(t, func(t *testing.T, lower, other layer.Lower) {
		dir := t.TempDir()
		from, to, want := open(t, dir+"/from", lower), open(t, dir+"/to", other), open(t, dir+"/want", other)
		defer from.Close()
		defer to.Close()
		defer want.Close()
		kept := fetched(t, from)
		fetched(t, want)
		before := records(t, dir+"/from")
		heard := 0
		o := Options{Blob: kept.open, Progress: func(digest.Digest, int, int) { heard++ }}
		for i, layers := range []int{2, 0} {
			done, err := Convert(t.Context(), from, to, o)
			if err != nil || len(done.Images) != 2 || done.Layers != layers || done.Left != nil {
				t.Fatalf("call %d gave %+v and error %v", i+1, done, err)
			}
		}
		if heard != 4 {
			t.Errorf("heard of %d layers", heard)
		}
		got, pulled := records(t, dir+"/to"), records(t, dir+"/want")
		for name, content := range pulled {
			if got[name] != content {
				t.Errorf("%s is not as a pull leaves it:\n%.400q\n%.400q", name, got[name], content)
			}
		}
		if len(got) != len(pulled) || len(got) < 8 {
			t.Errorf("%d files in place of %d", len(got), len(pulled))
		}
		sound(t, to)
		for name, content := range records(t, dir+"/from") {
			if before[name] != content {
				t.Errorf("%s has changed", name)
			}
		}
	})
}

// named are the names of the images that a store has.
func named(t *testing.T, s *overlaystore.Store) (refs []string) {
	t.Helper()
	images, err := s.Images()
	if err != nil {
		t.Error(err)
	}
	for _, img := range images {
		refs = append(refs, img.Refs...)
	}
	return refs
}

// sound wants a store that verifies and in which nothing is left over.
func sound(t *testing.T, s *overlaystore.Store) {
	t.Helper()
	if report, err := s.Verify(t.Context(), overlaystore.VerifyOptions{}); err != nil {
		t.Errorf("verify: %v: %v", err, report.Differences)
	}
	for _, name := range []string{"staging", "trash", "leases"} {
		if list, err := os.ReadDir(filepath.Join(s.Path(), name)); err != nil || len(list) != 0 {
			t.Errorf("%s/ holds %v, error %v", name, list, err)
		}
	}
}

// What cannot be made is told of, with what needs it, and the rest is made.
func TestWhatCannotBeConverted(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	top := digest.FromBytes(app)
	cases := []struct {
		name  string
		lower layer.Lower
		spoil func(t *testing.T, dir string, b blobs)
		want  error
	}{
		{"the blob is not kept", layer.Directories, func(t *testing.T, dir string, b blobs) {
			delete(b, digest.FromBytes(imagetest.Gzip(app)))
		}, ErrNoTar},
		{"the blob is another", layer.Directories, func(t *testing.T, dir string, b blobs) {
			b[digest.FromBytes(imagetest.Gzip(app))] = imagetest.Gzip(base)
		}, errkind.Mismatch},
		{"the tar is damaged", layer.Tars, func(t *testing.T, dir string, b blobs) {
			f, err := os.OpenFile(filepath.Join(dir, "layers", top.Encoded(), "layer.erofs"), os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt([]byte("X"), 4096+600)
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}, errkind.Mismatch},
		{"the tar is gone", layer.Tars, func(t *testing.T, dir string, b blobs) {
			if err := os.RemoveAll(filepath.Join(dir, "layers", top.Encoded())); err != nil {
				t.Fatal(err)
			}
		}, errkind.NotFound},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			from := open(t, dir+"/from", c.lower)
			defer from.Close()
			kept := fetched(t, from)
			c.spoil(t, dir+"/from", kept)
			other := layer.Tars
			if c.lower == layer.Tars {
				other = layer.Directories
			}
			to := open(t, dir+"/to", other)
			defer to.Close()
			done, err := Convert(t.Context(), from, to, Options{Blob: kept.open})
			if err != nil || len(done.Images) != 1 || done.Images[0].Refs[0] != "base" || len(done.Left) != 1 {
				t.Fatalf("converted %+v, error %v", done, err)
			}
			left := done.Left[0]
			if left.Layer != top || !slices.Equal(left.Refs, []string{"app"}) || !errors.Is(left.Err, c.want) {
				t.Errorf("left %+v, want %v", left, c.want)
			}
			if got := named(t, to); !slices.Equal(got, []string{"base"}) {
				t.Errorf("the other store has %q", got)
			}
			sound(t, to)
		})
	}
}

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := child(strings.Split(spec, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(disktest.Apart(m.Run))
}

// gone is true of a store that was never made.
func gone(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "store.json"))
	return errors.Is(err, fs.ErrNotExist)
}
