// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/platform"
)

// putFor puts an image of one layer for a platform, and tags it as app.
func putFor(t testing.TB, s *Store, name, own string, o TagOptions) digest.Digest {
	t.Helper()
	img := Image{Manifest: digest.FromString("manifest " + name), Layers: []digest.Digest{layerID("base")}}
	if own != "" {
		img.Platform = parsePlatform(t, own)
	}
	if has, err := s.HasLayer(layerID("base")); err == nil && !has {
		addLayer(t, s, "base", LayerRecord{}, regular("f", "x"))
	}
	img, err := s.PutImage(t.Context(), img)
	if err == nil {
		err = s.Tag(t.Context(), "app", img.Manifest, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return img.Manifest
}

func parsePlatform(t testing.TB, s string) ocispec.Platform {
	t.Helper()
	p, err := platform.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// machine wants what fits a machine, as no --platform does.
func machine(t testing.TB, s string) platform.Wanted {
	return platform.Wanted{Platform: parsePlatform(t, s)}
}

// expectNamed looks for what app names on machines; "" is none.
func expectNamed(t *testing.T, s *Store, want map[string]digest.Digest) {
	t.Helper()
	for on, manifest := range want {
		img, err := s.Lookup("app", machine(t, on))
		if manifest == "" && !errors.Is(err, platform.ErrNoMatch) || manifest != "" && (err != nil || img.Manifest != manifest) {
			t.Errorf("on %s: %s %s, %v; want %s", on, platform.Format(img.Platform), img.Manifest, err, manifest)
		}
	}
}

func TestAReferenceForSeveralPlatforms(t *testing.T) {
	s := openStore(t)
	arm := putFor(t, s, "arm", "linux/arm/v6", TagOptions{})
	amd := putFor(t, s, "amd", "linux/amd64", TagOptions{})
	expectNamed(t, s, map[string]digest.Digest{"linux/arm/v6": arm, "linux/arm/v7": arm, "linux/amd64": amd, "linux/arm/v5": "", "linux/riscv64": ""})
	_, err := s.Lookup("app", machine(t, "linux/riscv64"))
	if !strings.Contains(fmt.Sprint(err), "there are linux/amd64 and linux/arm/v6") {
		t.Errorf("the error lists nothing: %v", err)
	}
	if _, err := s.Lookup("app", platform.Wanted{}); !errors.Is(err, platform.ErrNoMatch) || !strings.Contains(fmt.Sprint(err), "no platform was named: there are") {
		t.Errorf("of two anything will do: %v", err)
	}
	if done, err := s.Prune(t.Context(), PruneOptions{}); err != nil || len(done.Images) > 0 {
		t.Errorf("pruned %v, %v", done.Images, err)
	}
	again := putFor(t, s, "arm again", "linux/arm/v6", TagOptions{})
	expectNamed(t, s, map[string]digest.Digest{"linux/arm/v7": again, "linux/amd64": amd})
	if err := s.Remove(t.Context(), "app", again); err != nil {
		t.Fatal(err)
	}
	expectNamed(t, s, map[string]digest.Digest{"linux/arm/v7": "", "linux/amd64": amd})
	if img, err := s.LookupToRead("app", machine(t, "linux/riscv64")); err != nil || img.Manifest != amd {
		t.Errorf("to read: %v", err)
	}
	riscv, err := platform.ParseWanted("linux/riscv64")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LookupToRead("app", riscv); !errors.Is(err, platform.ErrNoMatch) {
		t.Errorf("a platform was named, and another one was read: %v", err)
	}
	if done, err := s.Prune(t.Context(), PruneOptions{}); err != nil || len(done.Images) != 2 {
		t.Errorf("pruned %v, %v; want both of arm", done.Images, err)
	}
	if err := s.Remove(t.Context(), "app", ""); err != nil {
		t.Error(err)
	}
	checkEmpty(t, s, storedirs.Refs)
}

// What an index says of an image counts, not what its config says; and the
// platform is the same however it is written.
func TestAReferenceIsForWhatTheIndexSays(t *testing.T) {
	s := openStore(t)
	v6, v7 := parsePlatform(t, "linux/arm/v6"), parsePlatform(t, "linux/arm/v7")
	first := putFor(t, s, "v6", "linux/arm", TagOptions{Platform: &v6})
	second := putFor(t, s, "v7", "linux/arm", TagOptions{Platform: &v7})
	expectNamed(t, s, map[string]digest.Digest{"linux/arm/v6": first, "linux/arm/v7": second})
	wide := ocispec.Platform{OS: "linux", Architecture: "aarch64", Variant: "8"}
	putFor(t, s, "old", "linux/arm64", TagOptions{})
	third := putFor(t, s, "new", "", TagOptions{Platform: &wide})
	expectNamed(t, s, map[string]digest.Digest{"linux/arm64": third, "linux/arm/v6": first})
	img, err := s.Lookup("app", machine(t, "linux/arm/v6"))
	if want := []Name{{"app", v6}}; err != nil || len(img.Names) != 1 || platform.Format(img.Names[0].Platform) != platform.Format(want[0].Platform) {
		t.Errorf("names %v, %v; want %v", img.Names, err, want)
	}
}

// After a pull for a machine the reference means what was pulled, on it: what
// fits better is of an older day.
func TestAReferenceThatMovedOn(t *testing.T) {
	for _, c := range []struct {
		name, wanted, fresh string
		named               bool
		want                map[string]bool // machines, and whether they find the fresh one
	}{
		{"to a lower variant", "linux/arm/v7", "linux/arm/v6", false, map[string]bool{"linux/arm/v7": true, "linux/arm/v6": true}},
		{"a lower variant was asked for", "linux/arm/v6", "linux/arm/v6", true, map[string]bool{"linux/arm/v7": false, "linux/arm/v6": true}},
		{"to another architecture", "linux/arm/v7", "linux/amd64", false, map[string]bool{"linux/amd64": true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openStore(t)
			old := putFor(t, s, "old", "linux/arm/v7", TagOptions{})
			w := machine(t, c.wanted)
			w.Named = c.named
			fresh := putFor(t, s, "fresh", c.fresh, TagOptions{Wanted: w})
			for on, isFresh := range c.want {
				expectNamed(t, s, map[string]digest.Digest{on: map[bool]digest.Digest{true: fresh, false: old}[isFresh]})
			}
			if c.fresh == "linux/amd64" {
				expectNamed(t, s, map[string]digest.Digest{"linux/arm/v7": ""})
			}
		})
	}
}

// writeOldRef writes a reference as those did who knew no platforms.
func writeOldRef(t *testing.T, s *Store, ref string, manifest digest.Digest) {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"ref": ref, "manifest": manifest.String()})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(ref))
	writeFile(t, filepath.Join(s.Path(), storedirs.Refs, hex.EncodeToString(sum[:])+".json"), string(raw))
}

func TestReferencesWithoutPlatforms(t *testing.T) {
	s := openStore(t)
	amd := putFor(t, s, "amd", "linux/amd64", TagOptions{})
	arm := putFor(t, s, "arm", "linux/arm/v7", TagOptions{})
	writeOldRef(t, s, "app", amd)
	expectNamed(t, s, map[string]digest.Digest{"linux/arm/v7": arm, "linux/amd64": amd})
	// An old program has pulled another one for arm: it counts, and its file
	// hides the other one, which goes with it.
	newer := putFor(t, s, "newer", "linux/arm/v7", TagOptions{})
	putFor(t, s, "arm", "linux/arm/v7", TagOptions{})
	writeOldRef(t, s, "app", newer)
	expectNamed(t, s, map[string]digest.Digest{"linux/arm/v7": newer, "linux/amd64": ""})
	if err := s.Remove(t.Context(), "app", newer); err != nil {
		t.Fatal(err)
	}
	checkEmpty(t, s, storedirs.Refs)

	// Of an image that is gone the record is rubbish.
	writeOldRef(t, s, "app", layerID("nothing"))
	if _, err := s.Lookup("app", platform.Wanted{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a reference to nothing: %v", err)
	}
	amd = putFor(t, s, "amd", "linux/amd64", TagOptions{})
	expectNamed(t, s, map[string]digest.Digest{"linux/amd64": amd})
	writeOldRef(t, s, "app", layerID("nothing"))
	if _, err := s.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	checkEmpty(t, s, storedirs.Refs)

	// One that cannot be read hides no other.
	writeOldRef(t, s, "app", "")
	amd = putFor(t, s, "amd", "linux/amd64", TagOptions{})
	writeFile(t, filepath.Join(s.Path(), storedirs.Refs, "broken.json"), "{")
	expectNamed(t, s, map[string]digest.Digest{"linux/amd64": amd})
}

// Of many who tag at once, each for another platform, none is lost.
func TestTagAtOnce(t *testing.T) {
	s := openStore(t)
	addLayer(t, s, "base", LayerRecord{}, regular("f", "x"))
	var group sync.WaitGroup
	all := []string{"linux/amd64", "linux/386", "linux/arm/v5", "linux/arm64", "linux/riscv64", "linux/s390x"}
	for _, p := range all {
		group.Go(func() { putFor(t, s, p, p, TagOptions{}) })
	}
	group.Wait()
	images, err := s.Images()
	if err != nil || len(images) != len(all) || slices.ContainsFunc(images, func(i Image) bool { return len(i.Refs) != 1 }) {
		t.Errorf("images %v, %v", images, err)
	}
	if names, err := os.ReadDir(filepath.Join(s.Path(), storedirs.Refs)); err != nil || len(names) != len(all) {
		t.Errorf("files %v, %v", names, err)
	}
}
