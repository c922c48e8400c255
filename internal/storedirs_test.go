// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

func TestName(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	for _, c := range []struct {
		dgst, want string
	}{
		{"sha256:" + hex, hex},
		{"sha256:" + strings.ToUpper(hex), ""},
		{"sha256:" + hex[1:], ""},
		{"sha512:" + hex + hex, ""},
		{"sha256:../" + hex[3:], ""},
		{hex, ""},
		{"", ""},
	} {
		if got, err := storedirs.Name(digest.Digest(c.dgst)); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.dgst, got, err)
		}
	}
}

// A root is made with all above it, and only where it may be.
func TestOpenRoot(t *testing.T) {
	base := t.TempDir()
	if _, _, err := storedirs.OpenRoot(t.Context(), base+"/none", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that must be there: %v", err)
	}
	root, readOnly, err := storedirs.OpenRoot(t.Context(), base+"/a/b/store", false)
	if err != nil || readOnly {
		t.Fatal(readOnly, err)
	}
	defer root.Close()
	if info, err := os.Stat(base + "/a/b/store"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made %v, %v", info, err)
	}
	if err := storedirs.CheckOwner(root); err != nil {
		t.Error(err)
	}
	for _, mode := range []os.FileMode{0o720, 0o702, 0o777} {
		if err := root.Chmod(mode); err != nil {
			t.Fatal(err)
		}
		if err := storedirs.CheckOwner(root); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := errors.Join(root.Chmod(0o700), root.Chown(12345, 12345), os.Symlink("a", base+"/theirs"), os.Lchown(base+"/theirs", 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	if err := storedirs.CheckOwner(root); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("another user's: %v", err)
	}
	if _, _, err := storedirs.OpenRoot(t.Context(), base+"/theirs/b", true); !errors.Is(err, unix.ELOOP) {
		t.Errorf("behind another user's link: %v", err)
	}
}

func TestReadFile(t *testing.T) {
	base := t.TempDir()
	dir, err := os.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := errors.Join(os.WriteFile(filepath.Join(base, "f"), []byte("12345"), 0o600), os.Symlink("f", filepath.Join(base, "l")), unix.Mkfifo(filepath.Join(base, "p"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if raw, err := storedirs.ReadFile(dir, "f", 5); err != nil || string(raw) != "12345" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := storedirs.ReadFile(dir, "f", 4); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("one byte too many: %v", err)
	}
	for _, name := range []string{"l", "p", "../f"} {
		if raw, err := storedirs.ReadFile(dir, name, 5); err == nil {
			t.Errorf("%s: %q", name, raw)
		}
	}
}

// Of two processes that make a store at once the slower one finds that of the other,
// with whatever that has made in it since.
func TestCreateBesideAnother(t *testing.T) {
	dir := t.TempDir()
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	const other = `{"format":1}`
	if err := errors.Join(os.WriteFile(dir+"/store.json", []byte(other), 0o600), os.Mkdir(dir+"/engines", 0o700)); err != nil {
		t.Fatal(err)
	}
	if raw, err := storedirs.Create(t.Context(), root, layer.Form{}, nil); err != nil || string(raw) != other {
		t.Errorf("got %q, %v", raw, err)
	}
}
