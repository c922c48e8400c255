// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/leases"
)

func TestLeases(t *testing.T) {
	base := t.TempDir()
	dir, err := os.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	held, dead := digest.FromString("held"), digest.FromString("dead")
	name, f, err := leases.Write(dir, "boot", leases.Record{What: "pull a", PID: 1, Layers: []digest.Digest{held}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(name, "boot-") {
		t.Errorf("the lease is called %s", name)
	}
	_, lost, err := leases.Write(dir, "boot", leases.Record{What: "pull b", Layers: []digest.Digest{dead}})
	if err := errors.Join(err, lost.Close()); err != nil { // as if its process had died
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "note"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	living, err := leases.Living(t.Context(), dir)
	if err != nil || len(living) != 1 || living[held] != "pull a" {
		t.Errorf("living are %v, %v", living, err)
	}
	if left, err := os.ReadDir(base); err != nil || len(left) != 2 {
		t.Errorf("left are %v, %v", left, err)
	}
	// One that is held and cannot be read may name anything.
	if err := os.WriteFile(filepath.Join(base, name), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Living(t.Context(), dir); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("a damaged one: %v", err)
	}
	if err := os.Truncate(filepath.Join(base, name), 1<<20+1); err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Living(t.Context(), dir); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("a huge one: %v", err)
	}
	if err := leases.End(dir, name, f); err != nil {
		t.Fatal(err)
	}
	if living, err := leases.Living(t.Context(), dir); err != nil || len(living) != 0 {
		t.Errorf("after its end: %v, %v", living, err)
	}
}
