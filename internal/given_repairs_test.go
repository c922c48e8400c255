// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/given"
)

// TestEndRepair: what a repair that died has left is removed once, and what one
// that lives needs is not.
func TestEndRepair(t *testing.T) {
	dir := disktest.OpenTemp(t)
	putRecords(t, dir, givenRecord("one"), givenRecord("two"))
	only := func() given.Record {
		t.Helper()
		list, err := given.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.Manifest == givenRecord("one").Manifest {
				return r
			}
		}
		return given.Record{}
	}
	done := 0
	endRepair := func(fails error) error {
		return given.EndRepair(t.Context(), dir, only(), func() error { done++; return fails })
	}
	if err := endRepair(nil); err != nil || done != 0 {
		t.Errorf("without a repair: done %d times, %v", done, err)
	}
	end, err := given.BeginRepair(t.Context(), dir, givenRecord("one"))
	if err != nil {
		t.Fatal(err)
	}
	// Somebody gives it meanwhile.
	changed := only()
	changed.Complete = true
	putRecords(t, dir, changed)
	if err := endRepair(nil); err != nil || done != 0 || only().Repair == "" {
		t.Errorf("one that lives: done %d times, %v, %+v", done, err, only())
	}
	if err := end(); err != nil || only().Repair != "" || !only().Complete {
		t.Errorf("ended: %v, %+v", err, only())
	}
	if left, _ := filepath.Glob(filepath.Join(dir.Name(), "engines", "*.living")); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
	changed.Repair = "repair-dead"
	putRecords(t, dir, changed)
	if err := endRepair(os.ErrPermission); !errors.Is(err, os.ErrPermission) || only().Repair == "" {
		t.Errorf("what cannot be done: %v, %+v", err, only())
	}
	// Two processes see it, and the second waits for the first.
	seen := only()
	for range 2 {
		err := given.EndRepair(t.Context(), dir, seen, func() error {
			done++
			records, err := given.TryOpen(t.Context(), dir)
			if records == nil {
				return err
			}
			t.Error("the records are open to others meanwhile")
			return records.Close()
		})
		if err != nil || done != 2 || only().Repair != "" {
			t.Errorf("one that died: done %d times, %v, %+v", done, err, only())
		}
	}
}
