// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/layer"
)

// An ordinary user reads, verifies and mends his store, whatever the modes in it
// say: those of root's files mean nothing to root.
func TestModesThatForbidTheirOwner(t *testing.T) {
	if os.Geteuid() == 0 {
		asOrdinaryUser(t)
		return
	}
	shut := dir("shut", 0)
	secret := regular("shut/secret", "s")
	secret.Mode = 0
	note := regular("note", "n")
	note.Mode, note.Xattrs = 0o200, map[string]string{"user.note": "kept"}
	work, err := os.MkdirTemp("", "") // root removes it: this user may not list all of it
	if err != nil {
		t.Fatal(err)
	}
	s := reopen(t, filepath.Join(work, "store"), Options{IDs: layer.SquashedIDs})
	base := addLayer(t, s, "base", LayerRecord{}, dir("half", 0o600), regular("half/f", "h"), note, opaque(shut, layer.Marked), secret)
	top := addLayer(t, s, "top", LayerRecord{Facts: layer.Facts{ForeignLinks: []layer.ForeignLink{{Path: "new", Target: "shut/secret"}}}})
	img := putImage(t, s, "image", base, top)
	if img.Fix == "" {
		t.Error("no fix layer was made for a link to what is shut")
	}
	for range 3 {
		if got := verifyAll(t, s, VerifyOptions{Jobs: 4}); got != nil {
			t.Errorf("Verify = %q, want nothing", got)
		}
	}
	l, err := s.OpenLayer(base)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]string{"shut/secret": "s", "half/f": "h", "note": "n"} {
		f, err := l.Open(layer.Entry{Path: name, Type: layer.Regular})
		if err != nil {
			t.Errorf("open %s: %v", name, err)
			continue
		}
		if raw, err := io.ReadAll(f); err != nil || string(raw) != want {
			t.Errorf("%s holds %q, %v", name, raw, err)
		}
		f.Close()
	}
	at := filepath.Join(s.Path(), "layers", base.Encoded(), "fs")
	st, err := os.Stat(at + "/note")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Chmod(at+"/note", 0o600), os.WriteFile(at+"/note", []byte("N"), 0), os.Chtimes(at+"/note", st.ModTime(), st.ModTime()), os.Chmod(at+"/note", 0o200)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := verifyAll(t, s, VerifyOptions{}); !slices.Equal(got, []string{"note content"}) {
		t.Errorf("Verify = %q, want that the note's content differs", got)
	}
}

func asOrdinaryUser(t *testing.T) {
	t.Helper()
	work := t.TempDir()
	for path, mode := range map[string]os.FileMode{work: 0o777, filepath.Dir(work): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "TMPDIR="+work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
