// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
)

func givenRecord(name string) given.Record {
	return given.Record{
		Kind: given.Containerd, Address: "/run/c.sock", Namespace: "k8s.io", Manifest: digest.FromString(name),
		Root: digest.FromString("root"), Config: digest.FromString("config"), Names: []string{"a", "b"}, Time: time.Unix(1, 0).UTC(),
	}
}

func putRecords(t testing.TB, dir *os.File, list ...given.Record) {
	t.Helper()
	r, err := given.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, rec := range list {
		if err := r.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecords(t *testing.T) {
	dir := disktest.OpenTemp(t)
	if list, err := given.List(dir); err != nil || list != nil {
		t.Errorf("before the first: %v, %v", list, err)
	}
	one, two := givenRecord("one"), givenRecord("two")
	elsewhere := one
	elsewhere.Namespace = "moby"
	putRecords(t, dir, one, two, elsewhere)
	one.Complete = true
	putRecords(t, dir, one)
	list, err := given.List(dir)
	if err != nil || len(list) != 3 {
		t.Fatalf("records %v, %v", list, err)
	}
	complete := 0
	for _, r := range list {
		if r.Complete {
			complete++
		}
	}
	if complete != 1 {
		t.Errorf("%d of them are complete", complete)
	}
	r, err := given.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 { // the second time it is not there
		if err := r.Remove(t.Context(), two); err != nil {
			t.Error(err)
		}
	}
	if list, err := given.List(dir); err != nil || len(list) != 2 {
		t.Errorf("records %v, %v", list, err)
	}
}

func TestDamagedRecords(t *testing.T) {
	for _, c := range []struct{ name, file, text, want string }{
		{"not JSON", strings.Repeat("a", 64) + ".json", "x", "invalid character"},
		{"another's", strings.Repeat("a", 64) + ".json", `{"kind":"containerd","manifest":"` + digest.FromString("x").String() + `"}`, "not what its name says"},
		{"unfinished", durable.TempPrefix + "1.json", "x", ""},
		{"something else", "lock", "x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := disktest.OpenTemp(t)
			putRecords(t, dir, givenRecord("one"))
			if err := os.WriteFile(filepath.Join(dir.Name(), "engines", c.file), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			list, err := given.List(dir)
			if len(list) != 1 || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("records %v, %v", list, err)
			}
			putRecords(t, dir) // what nobody finishes goes
			_, err = os.Stat(filepath.Join(dir.Name(), "engines", c.file))
			if (err == nil) == strings.HasPrefix(c.file, durable.TempPrefix) {
				t.Errorf("afterwards %q: %v", c.file, err)
			}
		})
	}
}

// FuzzGiven: whatever a file says, a record is what its name says.
func FuzzGiven(f *testing.F) {
	f.Add([]byte(`{"kind":"containerd","address":"/run/c.sock","manifest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","names":["a"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := disktest.OpenTemp(t)
		name := strings.Repeat("a", 64) + ".json"
		if err := os.Mkdir(filepath.Join(dir.Name(), "engines"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir.Name(), "engines", name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := given.List(dir); err == nil || list != nil {
			t.Errorf("records %v, %v", list, err)
		}
	})
}

// TestDead: where a giving that died has taken its lease is known until that has
// ended, and what tells nothing of a lease is removed.
func TestDead(t *testing.T) {
	dir := disktest.OpenTemp(t)
	r, err := given.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := given.Place{Address: "/run/c.sock", Namespace: "moby", Snapshotter: "overlayfs"}
	release, err := given.Begin(t.Context(), dir, "alive", at)
	if err != nil {
		t.Fatal(err)
	}
	engines := filepath.Join(dir.Name(), "engines")
	noted, err := os.ReadFile(filepath.Join(engines, "alive.living"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"dead": string(noted), "early": "", "torn": string(noted[:len(noted)/2]), "old": string(noted)} {
		if err := os.WriteFile(filepath.Join(engines, name+".living"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(engines, "old.living"), time.Time{}, time.Now().Add(-49*time.Hour)); err != nil {
		t.Fatal(err)
	}
	var ended []string
	for _, fails := range []error{os.ErrPermission, nil} { // a lease that cannot be ended is left to the next one
		living, dead, err := r.Living(t.Context())
		if err != nil || len(living) != 1 || !living["alive"] || !slices.Equal(dead, []given.Dead{{ID: "dead", Place: at}}) {
			t.Errorf("%v live and %v have died, %v", living, dead, err)
		}
		if left, _ := filepath.Glob(filepath.Join(engines, "*.living")); len(left) != 2 {
			t.Errorf("left are %q", left)
		}
		end := func(id string) error { ended = append(ended, id); return fails }
		for _, at := range []given.Place{{Address: "/run/c.sock"}, {Address: "/run/d.sock", Namespace: "moby"}, at} {
			if err := r.End(t.Context(), dead, at, end); !errors.Is(err, fails) && at.Snapshotter != "" {
				t.Error(err)
			}
		}
	}
	if err := release(); err != nil || !slices.Equal(ended, []string{"dead", "dead"}) {
		t.Errorf("ended are %q, %v", ended, err)
	}
	if living, dead, err := r.Living(t.Context()); err != nil || len(living) != 0 || len(dead) != 0 {
		t.Errorf("at the end %v live and %v have died, %v", living, dead, err)
	}
}

// TestBeginBesideLiving: whoever looks for the givings that live neither removes nor
// misses one that just begins.
func TestBeginBesideLiving(t *testing.T) {
	dir := disktest.OpenTemp(t)
	r, err := given.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stop, looked := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				looked <- nil
				return
			default:
			}
			if _, _, err := r.Living(context.Background()); err != nil {
				looked <- err
				return
			}
		}
	}()
	for i := range 300 {
		id := strconv.Itoa(i)
		release, err := given.Begin(t.Context(), dir, id, given.Place{})
		if err != nil {
			t.Fatal(err)
		}
		if living, _, err := r.Living(t.Context()); err != nil || !living[id] {
			t.Fatalf("%s of %v does not live, %v", id, living, err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-looked; err != nil {
		t.Error(err)
	}
}
