// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/layer"
)

// withoutDevices is a filesystem that refuses devices 0:0: an overlay, as the
// root filesystem of a container is one.
func withoutDevices(t *testing.T) string {
	t.Helper()
	needsRoot(t, "it mounts")
	base := t.TempDir()
	for _, d := range []string{"l", "u", "w"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := mountFor(t, "overlay", fmt.Sprintf("lowerdir=%[1]s/l,upperdir=%[1]s/u,workdir=%[1]s/w", base))
	if err := unix.Mknod(filepath.Join(dir, "device"), unix.S_IFCHR, 0); err == nil {
		t.Fatal("an overlay takes devices 0:0, so it is not one to test with")
	}
	return dir
}

func TestWhiteoutsOfANewStore(t *testing.T) {
	needsRoot(t, "it sets trusted attributes")
	needsMount(t)
	for _, c := range []struct {
		name   string
		dir    func(*testing.T) string
		wanted layer.Whiteouts
		want   layer.Whiteouts // or
		says   string
	}{
		{"devices where they work", tempDir, "", layer.CharDevices, ""},
		{"devices that are asked for", tempDir, layer.CharDevices, layer.CharDevices, ""},
		{"attributes that are asked for", tempDir, layer.XattrMarks, layer.XattrMarks, ""},
		{"an overlay", withoutDevices, "", "", `ask for whiteouts in the form "xattr"`},
		{"devices on an overlay", withoutDevices, layer.CharDevices, "", "refuses the device 0:0"},
		{"attributes on an overlay", withoutDevices, layer.XattrMarks, layer.XattrMarks, ""},
		{"a form that is none", tempDir, "hidden", "", `no form of whiteouts "hidden"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(c.dir(t), "store")
			s, err := Open(t.Context(), dir, Options{Whiteouts: c.wanted})
			if c.want == "" {
				if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v, want ErrUnsupported that says %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := s.Format().Whiteouts; got != c.want {
				t.Errorf("the store has %q, want %q", got, c.want)
			}
			other := map[layer.Whiteouts]layer.Whiteouts{layer.CharDevices: layer.XattrMarks, layer.XattrMarks: layer.CharDevices}[c.want]
			if _, err := Open(t.Context(), dir, Options{Whiteouts: other}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "decided when it was made") {
				t.Errorf("opened as %q: error %v, want ErrFormat", other, err)
			}
		})
	}
}

func tempDir(t *testing.T) string { return t.TempDir() }
