// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// capNetRaw is a version 2 file capability, as capabilities(7) has it.
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

var (
	atime = unix.Timespec{Sec: 1000, Nsec: 1}
	mtime = unix.Timespec{Sec: 2000, Nsec: 2}
)

func TestSetAttributesOfEachType(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, _ := tree(t)
		for _, c := range []struct {
			path   string
			mode   uint32
			xattrs map[string]string
		}{
			{"a/b/file", 0o4711, map[string]string{"user.a": "1", "user.b": strings.Repeat("x", 2000)}},
			{"a/b/file", 0o444, map[string]string{"user.c": ""}},
			{"a", 0o1755, map[string]string{"user.a": "1"}},
			{"fifo", 0o641, nil},
			{"out", 0o777, nil},
		} {
			want := Attributes{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Mode: c.mode, Xattrs: c.xattrs, Access: atime, Modified: mtime}
			f, err := Find(dir, c.path)
			must(t, err, SetAttributes(f, want, nil))
			got, _, err := ReadAttributes(f, func(name string) bool { _, ours := c.xattrs[name]; return ours })
			must(t, err, f.Close())
			if !maps.Equal(got.Xattrs, want.Xattrs) || got.Mode != want.Mode || got.UID != want.UID || got.Access != want.Access || got.Modified != want.Modified {
				t.Errorf("%s: got %+v, want %+v", c.path, got, want)
			}
		}
	})
}

// A change of the owner clears set-id bits and capabilities: each must come
// after it. What a descriptor for writing gets, one of O_PATH gets too.
func TestOrderKeepsSetIDAndCapabilities(t *testing.T) {
	needsRoot(t)
	dir, _ := tree(t)
	want := Attributes{UID: 12, GID: 34, Mode: 0o6755, Xattrs: map[string]string{"security.capability": capNetRaw, "user.x": "y"}, Access: atime, Modified: mtime}
	for name, openAs := range map[string]func() (*os.File, error){
		"O_PATH":  func() (*os.File, error) { return Find(dir, "a/b/file") },
		"reading": func() (*os.File, error) { return OpenFile(dir, "a/b/file") },
		"writing": func() (*os.File, error) { return Create(dir, "new", 0o600) },
	} {
		f, err := openAs()
		must(t, err, SetAttributes(f, want, nil))
		got, _, err := ReadAttributes(f, func(name string) bool { return name != "security.selinux" })
		must(t, err, f.Close())
		if !maps.Equal(got.Xattrs, want.Xattrs) || got.Mode != want.Mode || got.UID != 12 || got.GID != 34 || got.Modified != mtime {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	st, err := Lstat(dir, "out")
	must(t, err)
	link, err := Find(dir, "out")
	must(t, err, SetAttributes(link, Attributes{UID: 12, GID: 34, Access: OmitTime(), Modified: OmitTime()}, nil))
	now, err := Stat(link)
	must(t, err, link.Close())
	if now.Uid != 12 || now.Mtim != st.Mtim {
		t.Errorf("the link itself is %+v", now)
	}
}

func TestKeepOwner(t *testing.T) {
	needsRoot(t)
	dir, _ := tree(t)
	must(t, os.Chown(filepath.Join(dir.Name(), "fifo"), 5, 6))
	f, err := Find(dir, "fifo")
	must(t, err, SetAttributes(f, Attributes{UID: 1, KeepOwner: true, Mode: 0o600}, nil))
	st, err := Stat(f)
	must(t, err, f.Close())
	if st.Uid != 5 || st.Gid != 6 {
		t.Errorf("owned by %d:%d", st.Uid, st.Gid)
	}
}

func TestRefusedAttributes(t *testing.T) {
	dir, _ := tree(t)
	f, err := Find(dir, "a/b/file")
	must(t, err)
	defer f.Close()
	a := Attributes{KeepOwner: true, Mode: 0o640, Xattrs: map[string]string{"none.such": "x"}, Access: atime, Modified: mtime}
	if err := SetAttributes(f, a, nil); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("error %v, want %v", err, unix.EOPNOTSUPP)
	}
	var names []string
	must(t, SetAttributes(f, a, func(name string, err error) error {
		names = append(names, name)
		return nil
	}))
	st, err := Stat(f)
	must(t, err)
	if len(names) != 1 || names[0] != "none.such" || st.Mode&0o7777 != 0o640 || st.Mtim != mtime {
		t.Errorf("refused %q, then %o, %v", names, st.Mode, st.Mtim)
	}
}

// A mode is set by name without following or opening what has the name.
func TestChmodAt(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, outside := tree(t)
		fd := int(dir.Fd())
		must(t, ChmodAtFD(fd, "fifo", 0o601), ChmodAtFD(fd, "out", 0), ChmodAtFD(fd, "a", 0o711))
		for name, want := range map[string]uint32{"fifo": 0o601, "a": 0o711} {
			if st, err := Lstat(dir, name); err != nil || st.Mode&0o7777 != want {
				t.Errorf("%s: mode %o, error %v, want %o", name, st.Mode, err, want)
			}
		}
		if st, err := os.Stat(outside); err != nil || st.Mode().Perm() != 0o755 {
			t.Errorf("mode of what a link leads to: %v, %v", st.Mode(), err)
		}
	})
}

func TestHasXattr(t *testing.T) {
	dir, _ := tree(t)
	f, err := Find(dir, "a/b/file")
	must(t, err, SetXattrFD(int(f.Fd()), "user.mark", ""))
	defer f.Close()
	for name, want := range map[string]bool{"user.mark": true, "user.other": false, "none.such": false} {
		if got, err := HasXattrFD(int(f.Fd()), name); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, outside := tree(t)
		if got, err := ReadFile(dir, "a/b/file", 7); err != nil || string(got) != "content" {
			t.Errorf("%q, %v", got, err)
		}
		for path, want := range map[string]error{"fifo": ErrNotRegular, "a/out/secret": nil, "a/b/file": ErrTooLarge} {
			_, err := ReadFile(dir, path, 6)
			if err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: error %v, want %v", path, err, want)
			}
		}
		link, err := Find(dir, "out")
		must(t, err)
		if got, err := Readlink(link); err != nil || got != outside {
			t.Errorf("%q, %v, want %q", got, err, outside)
		}
		must(t, link.Close())
		long := strings.Repeat("x/", 2000)
		must(t, os.Symlink(long, filepath.Join(dir.Name(), "long")))
		link, err = Find(dir, "long")
		must(t, err)
		if got, err := Readlink(link); err != nil || got != long {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		must(t, link.Close())
		for name, want := range map[string]bool{"a": true, "dangling": true, "none": false} {
			if got, err := Exists(dir, name); err != nil || got != want {
				t.Errorf("%s: %v, %v, want %v", name, got, err, want)
			}
		}
		first, err := Names(dir)
		must(t, err)
		second, err := Names(dir)
		if err != nil || len(second) != len(first) || len(first) != 8 {
			t.Errorf("listed %q, then %q, %v", first, second, err)
		}
	})
}
