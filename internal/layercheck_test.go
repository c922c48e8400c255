// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/layer"
)

// makeLayer makes a layer of the files "a" and "d/b" and returns its directory.
func makeLayer(t *testing.T) string {
	t.Helper()
	dir, made := t.TempDir(), time.Unix(1700000000, 5).UTC()
	out, err := os.Create(filepath.Join(dir, journal.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := journal.NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(out); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "fs/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	add := func(e layer.Entry) {
		e.UID, e.GID, e.ModTime = uint32(os.Geteuid()), uint32(os.Getegid()), made
		at := filepath.Join(dir, "fs", e.Path)
		if e.Type == layer.Regular {
			body := []byte("content of " + e.Path)
			e.Size, e.Sum = int64(len(body)), filesum.Of(body)
			if err := os.WriteFile(at, body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(at, os.FileMode(e.Mode)); err != nil {
			t.Fatal(err)
		}
		if err := w.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	add(layer.Entry{Path: "a", Type: layer.Regular, Mode: 0o644})
	add(layer.Entry{Path: "d/b", Type: layer.Regular, Mode: 0o640})
	add(layer.Entry{Path: "d", Type: layer.Directory, Mode: 0o750})
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"a", "d/b", "d"} {
		if err := os.Chtimes(filepath.Join(dir, "fs", p), made, made); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRun(t *testing.T) {
	rot := func(fs string) error {
		before, err := os.Stat(fs + "/d/b")
		if err != nil {
			return err
		}
		if err := os.WriteFile(fs+"/d/b", []byte("c0ntent of d/b"), 0); err != nil {
			return err
		}
		return os.Chtimes(fs+"/d/b", before.ModTime(), before.ModTime())
	}
	for _, c := range []struct {
		name  string
		harm  func(fs string) error
		quick bool
		want  []string
	}{
		{"sound", func(string) error { return nil }, false, nil},
		{"content", rot, false, []string{"d/b content"}},
		{"content, unread", rot, true, nil},
		{"mode", func(fs string) error { return os.Chmod(fs+"/a", 0o600) }, true, []string{"a mode"}},
		{"missing", func(fs string) error { return os.Remove(fs + "/a") }, true, []string{"a missing"}},
		{"one more", func(fs string) error { return os.Mkdir(fs+"/e", 0o755) }, true, []string{"e extra"}},
		{"another name", func(fs string) error { return os.Rename(fs+"/a", fs+"/e") }, true, []string{"a missing", "e extra"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := makeLayer(t)
			if err := c.harm(at + "/fs"); err != nil {
				t.Fatal(err)
			}
			dir, root := openLayer(t, at), openLayer(t, at+"/fs")
			check := layercheck.New(layercheck.Options{Form: layer.Form{IDs: layer.HostIDs, Whiteouts: layer.CharDevices, Xattrs: layer.UserXattrs}, Quick: c.quick})
			if err := check.Run(t.Context(), dir, root); err != nil {
				t.Fatal(err)
			}
			r := check.Result()
			var got []string
			for _, d := range r.Differences {
				got = append(got, d.Path+" "+d.Field)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if r.Files != 3 {
				t.Errorf("%d paths were compared, want 3", r.Files)
			}
		})
	}
}

func openLayer(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A copy for an engine has more than its layer, and other directories.
func TestRunOnACopy(t *testing.T) {
	at := makeLayer(t)
	copied := t.TempDir()
	if err := os.Mkdir(copied+"/d", 0o711); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"a", "d/b"} {
		if err := os.Link(at+"/fs/"+p, copied+"/"+p); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(copied+"/more", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, known := range []bool{false, true} {
		o := layercheck.Options{Form: layer.Form{IDs: layer.HostIDs, Whiteouts: layer.CharDevices, Xattrs: layer.UserXattrs}, Copied: true}
		if known {
			o.Known = openLayer(t, at+"/fs")
		}
		check := layercheck.New(o)
		if err := check.Run(t.Context(), openLayer(t, at), openLayer(t, copied)); err != nil {
			t.Fatal(err)
		}
		if r := check.Result(); len(r.Differences) > 0 || r.Files != 3 || (r.Bytes == 0) != known {
			t.Errorf("known %v: %+v", known, r)
		}
	}
}
