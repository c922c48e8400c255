// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// kernel is one that has fs-verity, or answers err.
type kernel struct {
	t   *testing.T
	err error
	on  map[uint64]bool // by the number of the file
	at  []string        // where the files were when it was enabled

	asked int // to enable it
}

func (k *kernel) Enable(f *os.File) error {
	k.asked++
	if k.err != nil {
		return k.err
	}
	path, err := os.Readlink(mounts.DirPath(f))
	if err != nil {
		return err
	}
	k.at = append(k.at, path)
	if k.on[k.number(f)] {
		return unix.EEXIST
	}
	k.on[k.number(f)] = true
	return nil
}

func (k *kernel) Enabled(f *os.File) (bool, error) { return k.on[k.number(f)], nil }

func (k *kernel) number(f *os.File) uint64 {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		k.t.Error(err)
	}
	return st.Ino
}

// newVerityStore makes a store of tars on such a kernel.
func newVerityStore(t *testing.T) (*Store, *kernel) {
	t.Helper()
	if os.Geteuid() != 0 || !probe.AllIDs() {
		t.Skip("needs root: layers as tars are for root")
	}
	k := &kernel{t: t, on: map[uint64]bool{}}
	return reopen(t, filepath.Join(t.TempDir(), "store"), Options{Lower: layer.Tars, Verity: true, verity: k}), k
}

// putTar puts a layer whose tar is text.
func putTar(t *testing.T, s *Store, text string) (digest.Digest, error) {
	t.Helper()
	diffID := digest.FromString(text)
	g, err := s.Stage(t.Context(), diffID)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	if err := sealTar(t, g, text); err != nil {
		return diffID, err
	}
	return diffID, s.Commit(t.Context(), g)
}

// sealTar fills a layer whose tar is text.
func sealTar(t *testing.T, g *Staging, text string) error {
	t.Helper()
	_, err := g.Tar().Write([]byte(text))
	err = errors.Join(err, g.Record(layer.Entry{Path: ".", Type: layer.Directory, Mode: 0o755, ModTime: time.Unix(1, 0)}))
	if err != nil {
		t.Fatal(err)
	}
	return g.Seal(t.Context(), LayerRecord{Size: int64(len(text))})
}

// Each layer and each index has fs-verity before anybody can see it, and a copy
// of the store, which has lost it, does not verify.
func TestVerity(t *testing.T) {
	s, k := newVerityStore(t)
	if raw, err := storedirs.ReadFormat(s.root); err != nil || !strings.Contains(string(raw), `"lower":"tar","verity":true`) {
		t.Errorf("store.json is %s, %v", raw, err)
	}
	diffID, err := putTar(t, s, "some")
	if err != nil {
		t.Fatal(err)
	}
	img := putImage(t, s, "docker.io/library/some:latest", diffID)
	var made []string
	for _, path := range k.at {
		dir, file := filepath.Split(path)
		made = append(made, filepath.Base(filepath.Dir(filepath.Clean(dir)))+"/"+file)
	}
	if want := []string{"staging/layer.erofs", "staging/index.erofs"}; len(made) != 3 || !slices.Equal(made[1:], want) {
		t.Errorf("enabled for %q, want a trial and %q", k.at, want)
	}
	again := reopen(t, s.Path(), Options{verity: k})
	if _, err := again.Verify(t.Context(), VerifyOptions{}); err != nil {
		t.Error(err)
	}
	if err := again.RepairFix(t.Context(), img); err != nil || len(k.at) != 4 {
		t.Errorf("enabled for %q, repaired with %v", k.at, err)
	}
	clear(k.on)
	report, err := again.Verify(t.Context(), VerifyOptions{Quick: true})
	layers, fixes := report.Damaged()
	if !errors.Is(err, ErrDamaged) || !slices.Equal(layers, []digest.Digest{diffID}) || !slices.Equal(fixes, []digest.Digest{img.Fix}) || report.Differences[0].Field != "fs-verity" {
		t.Errorf("without fs-verity: %v, %v", report.Differences, err)
	}
}

// What a copy of a store has lost comes again without its layers, if these are right.
func TestProtect(t *testing.T) {
	s, k := newVerityStore(t)
	sound, err := putTar(t, s, "some")
	if err != nil {
		t.Fatal(err)
	}
	rotten, err := putTar(t, s, "other")
	if err != nil {
		t.Fatal(err)
	}
	img := putImage(t, s, "docker.io/library/some:latest", sound, rotten)
	clear(k.on)
	at := filepath.Join(s.Path(), "layers", rotten.Encoded(), "layer.erofs")
	b, err := os.ReadFile(at)
	if err == nil {
		b[4096] ^= 1
		err = os.WriteFile(at, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	look := func(quick bool) Report {
		t.Helper()
		r, err := s.Verify(t.Context(), VerifyOptions{Quick: quick})
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		return r
	}
	protect := func(when string, want int, r Report) {
		t.Helper()
		left := r
		n, err := s.Protect(t.Context(), &left)
		layers, fixes := left.Damaged()
		if err != nil || n != want || !slices.Equal(layers, []digest.Digest{rotten}) || fixes != nil {
			t.Errorf("%s: %d got it, and left is %v, %v", when, n, left.Differences, err)
		}
	}
	// A quick look does not see the rot, which must not be made to last.
	r := look(true)
	if layers, fixes := r.Damaged(); len(layers) != 2 || !slices.Equal(fixes, []digest.Digest{img.Fix}) {
		t.Fatalf("without fs-verity: %v", r.Differences)
	}
	k.err = unix.ENOTTY
	k.asked = 0
	left := r
	if n, err := s.Protect(t.Context(), &left); !errors.Is(err, ErrUnsupported) || n != 0 || len(left.Differences) != 0 || k.asked != 1 {
		t.Errorf("without the kernel's: %d got it, asked %d times, and left is %v, %v", n, k.asked, left.Differences, err)
	}
	// What cannot be looked at stays, to be fetched.
	k.err = unix.EIO
	gone := Difference{Layer: digest.FromString("gone"), Field: r.Differences[0].Field, Got: r.Differences[0].Got}
	left = Report{Differences: append(slices.Clone(r.Differences), gone)}
	if n, err := s.Protect(t.Context(), &left); err != nil || n != 0 || len(left.Differences) != len(r.Differences)+1 {
		t.Errorf("where nothing can be enabled: %d got it, and left is %v, %v", n, left.Differences, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	left = r
	if n, err := s.Protect(ended, &left); !errors.Is(err, context.Canceled) || n != 0 || len(left.Differences) != len(r.Differences) {
		t.Errorf("when it is to end: %d got it, and left is %v, %v", n, left.Differences, err)
	}
	k.err = nil
	protect("after a quick look", 2, r)
	protect("after a whole one", 0, look(false))
}

// A layer that cannot have it is no layer.
func TestVerityFails(t *testing.T) {
	s, k := newVerityStore(t)
	for err, kind := range map[error]error{unix.ENOTTY: ErrUnsupported, unix.EINVAL: ErrUnsupported, unix.EIO: unix.EIO} {
		k.err = err
		diffID, err := putTar(t, s, "some")
		if has, hasErr := s.HasLayer(diffID); !errors.Is(err, kind) || has || hasErr != nil {
			t.Errorf("%v: got %v, there: %v, %v", k.err, err, has, hasErr)
		}
	}
	k.err = nil
	if _, err := putTar(t, s, "some"); err != nil {
		t.Errorf("then: %v", err)
	}
}

// A layer that cannot have it takes no other one with it: what is sealed has it, and
// what was kept without it gets it.
func TestVerityOfKeptLayers(t *testing.T) {
	s, k := newVerityStore(t)
	var staged []*Staging
	for _, text := range []string{"kept", "not"} {
		g, err := s.Stage(t.Context(), digest.FromString(text))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Discard()
		staged = append(staged, g)
	}
	if err := errors.Join(sealTar(t, staged[0], "kept"), staged[0].Keep(t.Context())); err != nil {
		t.Fatal(err)
	}
	k.err = unix.EIO
	if err := sealTar(t, staged[1], "not"); !errors.Is(err, unix.EIO) {
		t.Errorf("error %v", err)
	}
	if err := staged[0].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.err = nil
	clear(k.on)
	g, err := s.Stage(t.Context(), digest.FromString("kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	if taken, err := g.TakeUp(t.Context()); err != nil || !taken || len(k.on) != 1 {
		t.Errorf("taken up: %v, %d have it, %v", taken, len(k.on), err)
	}
	if err := s.Commit(t.Context(), g); err != nil {
		t.Error(err)
	}
}

// It is only where somebody asks for it, and can be.
func TestVerityIsDecidedFirst(t *testing.T) {
	s, k := newVerityStore(t)
	if _, err := Open(t.Context(), s.Path(), Options{Lower: layer.Directories}); !errors.Is(err, ErrFormat) {
		t.Errorf("directories: %v", err)
	}
	plain := reopen(t, filepath.Join(t.TempDir(), "plain"), Options{Lower: layer.Tars, verity: k})
	if before := len(k.at); before != 1 || plain.Format().Verity {
		t.Errorf("enabled for %q", k.at)
	}
	if _, err := putTar(t, plain, "some"); err != nil || len(k.at) != 1 {
		t.Errorf("enabled for %q, %v", k.at, err)
	}
	if _, err := Open(t.Context(), plain.Path(), Options{Verity: true, verity: k}); !errors.Is(err, ErrFormat) {
		t.Errorf("a store without it: %v", err)
	}
	for name, o := range map[string]Options{"directories": {Verity: true, verity: k}, "none": {Lower: layer.Tars, Verity: true, verity: &kernel{t: t, err: unix.EOPNOTSUPP}}} {
		dir := filepath.Join(t.TempDir(), "store")
		_, err := Open(t.Context(), dir, o)
		if _, there := os.Stat(filepath.Join(dir, storedirs.FormatFile)); !errors.Is(err, ErrUnsupported) || !errors.Is(there, os.ErrNotExist) {
			t.Errorf("%s: %v, store.json: %v", name, err, there)
		}
	}
	for _, c := range []struct {
		form  layer.Form
		known bool
	}{
		{s.Format().Form, true},
		{layer.Form{Whiteouts: layer.CharDevices, Xattrs: layer.TrustedXattrs, IDs: layer.HostIDs, Verity: true}, false},
	} {
		raw, err := storedirs.Encode(c.form)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := storedirs.Parse(raw); (err == nil) != c.known {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
