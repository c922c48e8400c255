// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A place is found through the links of the caller, and through no link of
// somebody else, wherever in the path it stands.
func TestPlaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to have files of another user")
	}
	base := t.TempDir()
	at := func(path string) string { return filepath.Join(base, path) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(errors.Join(os.MkdirAll(at("home/dir"), 0o755), os.MkdirAll(at("secret/sub"), 0o755), os.WriteFile(at("secret/file"), nil, 0o644)))
	for link, to := range map[string]string{
		"ours": "secret", "oursAbsolute": at("secret"), "oursUp": "home/../secret/./sub/..", "loop": "loop",
		"home/theirs": "../secret", "home/theirsAbsolute": at("secret"), "home/theirsFile": "../secret/file", "home/theirsLost": "../secret/new",
		"oursToTheirs": "home/theirs", "oursFile": "secret/file", "oursLost": "secret/new",
	} {
		must(os.Symlink(to, at(link)))
		if filepath.Dir(link) == "home" {
			must(os.Lchown(at(link), 1234, 1234))
		}
	}
	must(os.Lchown(at("home"), 1234, 1234))
	led := func(err error) bool {
		var e *errLedAway
		return errors.As(err, &e) && e.uid == 1234
	}
	is := func(kind error) func(error) bool { return func(err error) bool { return errors.Is(err, kind) } }
	for path, wrong := range map[string]func(error) bool{
		"secret": nil, "ours": nil, "oursAbsolute": nil, "oursUp": nil, "ours/sub/": nil, "home/dir": nil, "home/../ours": nil,
		"home/theirs": led, "home/theirs/": led, "home/theirs/sub": led, "home/theirsAbsolute": led, "oursToTheirs": led, "home/theirsLost": led,
		"loop": is(unix.ELOOP), "secret/file": is(unix.ENOTDIR), "oursFile": is(unix.ENOTDIR), "none": is(fs.ErrNotExist), "oursLost": is(fs.ErrNotExist),
	} {
		f, err := OpenPlace(at(path))
		if wrong != nil {
			if !wrong(err) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		want, werr := os.Stat(at(path))
		got, gerr := f.Stat()
		if must(errors.Join(werr, gerr, f.Close())); !os.SameFile(want, got) {
			t.Errorf("%s: another directory", path)
		}
	}
	for path, want := range map[string]string{"secret/file": "secret/file", "oursFile": "secret/file", "oursLost": "secret/new", "home/dir/new": "home/dir/new"} {
		dir, name, err := FindPlace(at(path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		wantDir, werr := os.Stat(at(filepath.Dir(want)))
		got, gerr := dir.Stat()
		if must(errors.Join(werr, gerr, dir.Close())); !os.SameFile(wantDir, got) || name != filepath.Base(want) {
			t.Errorf("%s: got %s in another directory than that of %s", path, name, want)
		}
	}
	for _, path := range []string{"home/theirsFile", "home/theirs/new", "home/theirsLost"} {
		if _, _, err := FindPlace(at(path)); !led(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"", at("secret") + "/", "/"} {
		if dir, name, err := FindPlace(path); err == nil {
			t.Errorf("%q: %s in %s", path, name, dir.Name())
		}
	}
	made, err := MakePlace(at("ours/a/b"), 0o700)
	must(err)
	must(made.Close())
	if info, err := os.Stat(at("secret/a/b")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made %v, %v", info, err)
	}
	if _, err := MakePlace(at("home/theirs/a"), 0o700); !led(err) {
		t.Errorf("made below somebody's link: %v", err)
	}
	t.Chdir(base)
	dir, name, err := FindPlace("new")
	if err != nil || name != "new" {
		t.Fatal(name, err)
	}
	must(dir.Close())
}
