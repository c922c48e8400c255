// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/overlaystore"
)

func TestPruneSparesWhatIsMounted(t *testing.T) {
	needsMount(t)
	for _, how := range []string{"by descriptor", "by line", "by line from an unknown source", "by descriptor from an unknown source"} {
		t.Run(how, func(t *testing.T) {
			s := openStore(t)
			// A mount from an unknown source keeps its numbers in every store.
			if err := disktest.NumberLinks(s.Path()); err != nil {
				t.Fatal(err)
			}
			id := addLayer(t, s, "a", regular("f", "some bytes"))
			m, err := Assemble(t.Context(), s, putImage(t, s, "a", id), Options{})
			if err != nil {
				t.Fatal(err)
			}
			target := t.TempDir()
			unmountLater(t, target)
			unknown := strings.Contains(how, "unknown")
			if unknown {
				m.source = "unknown"
			}
			if strings.HasPrefix(how, "by line") {
				shell(t, line(t, m, target))
			} else if err := m.Mount(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if err := s.Remove(t.Context(), "a", ""); unknown {
				// A line's relative names say too little to refuse, but enough
				// to spare the layers.
				t.Logf("removing: %v", err)
			} else if !errors.Is(err, overlaystore.ErrBusy) || !strings.Contains(fmt.Sprint(err), target) {
				t.Errorf("removing a mounted image's only reference: %v, want ErrBusy and where", err)
			}
			if _, err := s.Prune(t.Context(), overlaystore.PruneOptions{KeepStorage: 1}); err != nil {
				t.Fatal(err)
			}
			if has, err := s.HasLayer(id); err != nil || !has {
				t.Errorf("the mounted layer is there: %v, error %v", has, err)
			}
			if err := unix.Unmount(target, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Prune(t.Context(), overlaystore.PruneOptions{KeepStorage: 1}); err != nil {
				t.Fatal(err)
			}
			if has, err := s.HasLayer(id); err != nil || has {
				t.Errorf("after the unmount the layer is there: %v, error %v", has, err)
			}
		})
	}
}
