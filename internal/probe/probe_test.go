// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/layer"
)

func TestProbeChoosesTheForm(t *testing.T) {
	dir := disktest.OpenTemp(t)
	if os.Geteuid() == 0 {
		t.Skip("needs an ordinary user; root's form is tested with Open")
	}
	f, err := Form(t.Context(), dir, layer.Form{})
	if err != nil {
		t.Skipf("needs a filesystem that can hold a store: %v", err)
	}
	if f.Xattrs != layer.UserXattrs || f.IDs != layer.SquashedIDs {
		t.Errorf("form %+v, want user attributes and squashed ids", f)
	}
}

func TestMappedIDs(t *testing.T) {
	for _, c := range []struct {
		uidMap string
		want   uint64
	}{
		{"         0          0 4294967295\n", 1<<32 - 1},
		{"         0       1000          1\n", 1},
		{"0 1000 1\n1 100000 65536\n", 65537},
		{"", 0},
		{"nonsense\n0 0 -1\n", 0},
	} {
		if got := mappedIDs(strings.NewReader(c.uidMap)); got != c.want {
			t.Errorf("%q: %d ids, want %d", c.uidMap, got, c.want)
		}
	}
}

// The trial mount must notice a filesystem or a kernel on which marks have no
// effect.
func TestTrialMountNotices(t *testing.T) {
	if os.Geteuid() != 0 || !AllIDs() {
		t.Skip("needs root: it sets trusted attributes and mounts")
	}
	root := disktest.OpenTemp(t)
	for _, c := range []struct {
		name string
		form layer.Form
		ok   bool
	}{
		{"devices and trusted marks", layer.Form{Whiteouts: layer.CharDevices, Xattrs: layer.TrustedXattrs, IDs: layer.HostIDs}, true},
		{"devices and user marks", layer.Form{Whiteouts: layer.CharDevices, Xattrs: layer.UserXattrs, IDs: layer.HostIDs}, true},
		{"xattr whiteouts and user marks", layer.Form{Whiteouts: layer.XattrMarks, Xattrs: layer.UserXattrs, IDs: layer.HostIDs}, true},
		{"marks in a namespace that does not count", layer.Form{Whiteouts: layer.CharDevices, Xattrs: "user.not", IDs: layer.HostIDs}, false},
	} {
		name := filepath.Join(root.Name(), strings.ReplaceAll(c.name, " ", "-"))
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		dir, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tryOverlay(dir, c.form)
		dir.Close()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestIsAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.8.0": true, "6.7.12-amd64": false, "6.12.1": true, "5.15.0-91-generic": false, "7.0.0-rc1": true, "10.1": true, "6.8": true, "plan9": true,
	} {
		if got := isAtLeast(release, 6, 8); got != want {
			t.Errorf("%s: %v, want %v", release, got, want)
		}
	}
}
