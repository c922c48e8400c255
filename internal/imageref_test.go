// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imageref"
)

// writeRef writes a record as imageref has them.
func writeRef(t *testing.T, dir, file string, rec imageref.Record) {
	t.Helper()
	raw, err := json.Marshal(rec)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, file), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openRefs(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A reference is found whatever is done with it while it is looked for.
func TestNamedWhileItMoves(t *testing.T) {
	amd64 := &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	before, after := digest.FromString("before"), digest.FromString("after")
	t.Run("to another file", func(t *testing.T) {
		dir := t.TempDir()
		writeRef(t, dir, "old.json", imageref.Record{Ref: "moves", Manifest: after, Platform: amd64})
		for i := range 40 { // so that others are read first
			writeRef(t, dir, fmt.Sprintf("other%d.json", i), imageref.Record{Ref: "other", Manifest: after})
		}
		var once sync.Once
		refs := imageref.Refs{Dir: openRefs(t, dir), Platform: func(digest.Digest) (*ocispec.Platform, bool) {
			once.Do(func() {
				if err := os.Rename(dir+"/old.json", dir+"/new.json"); err != nil {
					t.Error(err)
				}
			})
			return amd64, true
		}}
		if named, err := refs.Named("moves"); err != nil || len(named) != 1 {
			t.Errorf("got %+v, %v", named, err)
		}
	})
	t.Run("to another image, and the first is pruned", func(t *testing.T) {
		dir := t.TempDir()
		writeRef(t, dir, "ref.json", imageref.Record{Ref: "moves", Manifest: before, Platform: amd64})
		refs := imageref.Refs{Dir: openRefs(t, dir), Platform: func(manifest digest.Digest) (*ocispec.Platform, bool) {
			writeRef(t, dir, "ref.json", imageref.Record{Ref: "moves", Manifest: after, Platform: amd64})
			return amd64, manifest == after
		}}
		if named, err := refs.Named("moves"); err != nil || len(named) != 1 || named[0].Manifest != after {
			t.Errorf("got %+v, %v", named, err)
		}
	})
	t.Run("to another file without end", func(t *testing.T) {
		dir := t.TempDir()
		writeRef(t, dir, "old0.json", imageref.Record{Ref: "moves", Manifest: after, Platform: amd64})
		for i := range 40 {
			writeRef(t, dir, fmt.Sprintf("other%d.json", i), imageref.Record{Ref: "other", Manifest: after})
		}
		moved := 0
		refs := imageref.Refs{Dir: openRefs(t, dir), Platform: func(digest.Digest) (*ocispec.Platform, bool) {
			from := fmt.Sprintf("%s/old%d.json", dir, moved)
			moved++
			if err := os.Rename(from, fmt.Sprintf("%s/old%d.json", dir, moved)); err != nil {
				t.Error(err)
			}
			return amd64, true
		}}
		if named, err := refs.Named("moves"); err != nil || len(named) != 1 {
			t.Errorf("got %+v, %v", named, err)
		}
		if moved > 41 {
			t.Errorf("the platforms of 41 records were looked up %d times", moved)
		}
	})
}
