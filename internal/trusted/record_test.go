// SPDX-License-Identifier: Apache-2.0

package trusted

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/trust"
)

// Records are found by name and image, and go a day after an image that is not
// there.
func TestRecords(t *testing.T) {
	dir := disktest.OpenTemp(t)
	nowhere := func(digest.Digest) bool { return false }
	if list, err := List(dir); err != nil || list != nil {
		t.Errorf("before the first: %v, %v", list, err)
	}
	one := newRecord("a.example/x:1", "sha256:root", digest.FromString("one"), trust.Verdict{})
	two := newRecord("a.example/x:2", "sha256:root", digest.FromString("one"), trust.Verdict{})
	for _, rec := range []Record{one, two} {
		if err := put(t.Context(), dir, rec, nowhere); err != nil {
			t.Fatal(err)
		}
	}
	if rec, found := find(dir, one.Reference, one.Manifest); !found || rec.Root != one.Root {
		t.Errorf("found %v, %v", rec, found)
	}
	if _, found := find(dir, "a.example/x:3", one.Manifest); found {
		t.Error("another name is found")
	}
	two.Time = time.Now().Add(-48 * time.Hour)
	if err := put(t.Context(), dir, two, func(digest.Digest) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if list, err := List(dir); err != nil || len(list) != 2 {
		t.Errorf("of an image that is there: %v, %v", list, err)
	}
	if err := put(t.Context(), dir, one, nowhere); err != nil {
		t.Fatal(err)
	}
	if list, err := Of(dir, one.Manifest); err != nil || len(list) != 1 || list[0].Reference != one.Reference {
		t.Errorf("a day later: %v, %v", list, err)
	}
}

// FuzzRecord: whatever a file says, a record is what its name says.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"reference":"a.example/x:1","manifest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","signatures":[{"key":"k"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := disktest.OpenTemp(t)
		if err := os.Mkdir(filepath.Join(dir.Name(), folder), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir.Name(), folder, strings.Repeat("a", 64)+".json"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := List(dir); err == nil || list != nil {
			t.Errorf("records %v, %v", list, err)
		}
	})
}
