// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/layer"
)

func TestIDsOfANewStore(t *testing.T) {
	probed, err := Open(t.Context(), filepath.Join(t.TempDir(), "store"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	possible := probed.Format().IDs
	if err := probed.Close(); err != nil {
		t.Fatal(err)
	}
	if possible == layer.MappedIDs {
		t.Skip("needs to be outside of a user namespace")
	}
	for _, c := range []struct{ wanted, want layer.IDs }{
		{"", possible},
		{layer.SquashedIDs, layer.SquashedIDs},
		{possible, possible},
		{layer.MappedIDs, ""}, // not even root has these
	} {
		dir := filepath.Join(t.TempDir(), "store")
		s, err := Open(t.Context(), dir, Options{IDs: c.wanted})
		if c.want == "" {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("ids %q: error %v, want ErrUnsupported", c.wanted, err)
			}
			if _, err := FormatOf(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("ids %q: the form of what is no store: error %v, want fs.ErrNotExist", c.wanted, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("ids %q: %v", c.wanted, err)
		}
		if got := s.Format().IDs; got != c.want {
			t.Errorf("ids %q: the store has %q, want %q", c.wanted, got, c.want)
		}
		if got, err := FormatOf(dir); err != nil || got != s.Format() {
			t.Errorf("ids %q: form %+v, %v, want that of the store, %+v", c.wanted, got, err, s.Format())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestIDsOfAStoreThatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for _, c := range []struct {
		ids layer.IDs
		err error
	}{
		{layer.SquashedIDs, nil}, {"", nil}, {layer.SquashedIDs, nil}, {layer.HostIDs, ErrFormat}, {layer.MappedIDs, ErrFormat},
	} {
		s, err := Open(t.Context(), dir, Options{IDs: c.ids})
		if !errors.Is(err, c.err) {
			t.Errorf("ids %q: error %v, want %v", c.ids, err, c.err)
		}
		if err == nil {
			s.Close()
		}
	}
}
