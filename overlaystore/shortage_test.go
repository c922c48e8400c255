// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// What a fix layer copies and makes leaves the reserve of free space alone.
func TestFixLayerKeepsTheReserve(t *testing.T) {
	s := openStore(t)
	base := addLayer(t, s, "base", LayerRecord{}, regular("file", "x"), symlink("link", "file"))
	for _, target := range []layer.Path{"file", "link"} {
		top := addLayer(t, s, "to "+string(target), LayerRecord{Facts: layer.Facts{ForeignLinks: []layer.ForeignLink{{Path: "new", Target: target}}}})
		img := Image{Manifest: digest.FromString("links to " + string(target)), Layers: []digest.Digest{base, top}}
		s.reserve = math.MaxInt64
		_, err := s.PutImage(t.Context(), img)
		var space *SpaceError
		if !errors.As(err, &space) || !errors.Is(err, unix.ENOSPC) {
			t.Errorf("a copy of %s: %v, want a SpaceError", target, err)
		}
		checkEmpty(t, s, storedirs.Images, storedirs.Fix, storedirs.Staging)
		s.reserve = 0
		if _, err := s.PutImage(t.Context(), img); err != nil {
			t.Errorf("without a reserve: %v", err)
		}
		if _, err := s.Prune(t.Context(), PruneOptions{KeepStorage: 1 << 40}); err != nil {
			t.Fatal(err)
		}
		base = addLayerAgain(t, s, base)
	}
}

func addLayerAgain(t *testing.T, s *Store, was digest.Digest) digest.Digest {
	t.Helper()
	if has, err := s.HasLayer(was); err != nil || has {
		return was
	}
	return addLayer(t, s, "base", LayerRecord{}, regular("file", "x"), symlink("link", "file"))
}

// The reserve of a store that was opened without a word is that of unpacking.
func TestReserveOfOptions(t *testing.T) {
	dir := t.TempDir() + "/store"
	for _, c := range []struct {
		given int64
		want  uint64
	}{{0, 64 << 20}, {-1, 0}, {5, 5}} {
		if s := reopen(t, dir, Options{Reserve: c.given}); s.reserve != c.want {
			t.Errorf("Reserve %d keeps %d, want %d", c.given, s.reserve, c.want)
		}
	}
}

// However few descriptors a process has left, what it cannot open is not
// damaged.
func TestShortOfDescriptors(t *testing.T) {
	s := openStore(t)
	base := addLayer(t, s, "base", LayerRecord{}, everyKind()...)
	top := addLayer(t, s, "top", LayerRecord{Facts: layer.Facts{ForeignLinks: []layer.ForeignLink{{Path: "new", Target: "d/link/x"}}}}, opaque(dir("p", 0o755), layer.Marked))
	if _, err := s.PutImage(t.Context(), Image{Manifest: digest.FromString("m"), Layers: []digest.Digest{base, top}}); !errors.Is(err, errkind.Malformed) {
		t.Fatalf("a link to nothing: %v, want a malformed image", err)
	}
	putImage(t, s, "image", base)
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"verify", func() error { _, err := s.Verify(t.Context(), VerifyOptions{Jobs: 1}); return err }},
		{"list", func() error { _, err := s.Images(); return err }},
		{"prune", func() error { _, err := s.Prune(t.Context(), PruneOptions{DryRun: true}); return err }},
		{"open", func() error {
			again, err := Open(t.Context(), s.Path(), Options{Existing: true})
			if err == nil {
				err = again.Close()
			}
			return err
		}},
	} {
		failed := 0
		for spare := 0; ; spare++ {
			err := withDescriptors(t, spare, c.do)
			if err == nil {
				break
			}
			failed++
			if kind := errkind.Of(err); kind == errkind.Mismatch || kind == errkind.NotFound || !fsat.IsShortage(err) {
				t.Errorf("%s with %d descriptors more: %v, which is %v", c.name, spare, err, kind)
			}
			if spare > 100 {
				t.Fatalf("%s: %v with 100 descriptors more", c.name, err)
			}
		}
		if failed == 0 {
			t.Errorf("%s never fell short", c.name)
		}
	}
}

// withDescriptors calls do while the process can open so many files more.
func withDescriptors(t *testing.T, spare int, do func() error) error {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	used := map[int]bool{}
	for _, e := range open {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil {
				used[n] = true // ReadDir's own is closed again
			}
		}
	}
	limit := 0
	for free := 0; free < spare || used[limit]; limit++ {
		if !used[limit] {
			free++
		}
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	less := was
	less.Cur = uint64(limit)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &less); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	return do()
}

// An index that could not be made for want of descriptors is made later, unless the
// pull is to end; any other error ends it and says what of.
func TestStageIndexLeavesShortagesForLater(t *testing.T) {
	if os.Geteuid() != 0 || !probe.AllIDs() {
		t.Skip("needs root: layers as tars are for root")
	}
	s := reopen(t, filepath.Join(t.TempDir(), "store"), Options{Lower: layer.Tars})
	diffID, err := putTar(t, s, "some")
	if err != nil {
		t.Fatal(err)
	}
	for errno, want := range map[unix.Errno]string{
		unix.EMFILE: "",
		unix.EIO:    "stage the index: write index: " + unix.EIO.Error(),
		unix.EDQUOT: "the quota for this user",
	} {
		for _, ends := range []bool{false, true} {
			ctx, cancel := context.WithCancel(durable.WithFault(t.Context(), func(op string) error {
				if op == "write index" {
					return errno
				}
				return nil
			}))
			defer cancel()
			if ends {
				cancel()
			}
			g, err := s.StageIndex(ctx, []digest.Digest{diffID}, nil)
			if g != nil || (err == nil) != (want == "" && !ends) || err != nil && (!errors.Is(err, errno) || !strings.Contains(err.Error(), want)) {
				t.Errorf("%v, at an end: %v: %v, %v", errno, ends, g, err)
			}
			checkEmpty(t, s, storedirs.Staging)
		}
	}
	img := putImage(t, s, "docker.io/library/some:latest", diffID)
	if _, err := s.Index(img); err != nil {
		t.Error(err)
	}
}
