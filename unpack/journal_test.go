// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/filesum"
	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	"golang.org/x/sys/unix"
)

// journal is a reader of what Record is told, as a store has to read it: what
// each path is in the end. Names of one file share one entry.
type journal map[string]*layer.Entry

func (j journal) record(e layer.Entry) error {
	switch e.Type {
	case layer.Removed:
		if j[e.Path] == nil {
			return errors.New("removed what was not recorded: " + e.Path)
		}
		for path := range j {
			if path == e.Path || strings.HasPrefix(path, e.Path+"/") {
				delete(j, path)
			}
		}
	case layer.OpaqueMark:
		j[e.Path].Opaque = e.Opaque
	case layer.Hardlink:
		target := j[e.Linkname]
		if target == nil || target.Type == layer.Directory || target.Type == layer.Whiteout {
			return errors.New("hardlink to what was not recorded: " + e.Linkname)
		}
		j[e.Path] = target
	default:
		j[e.Path] = &e
	}
	return nil
}

// check compares the journal with the directory, path by path.
func (j journal) check(t *testing.T, dir string, o unpack.Options) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := strings.TrimPrefix(p[len(dir):], "/")
		if path == "" {
			path = "."
		}
		e := j[path]
		if e == nil {
			t.Errorf("journal has no %q", path)
			return nil
		}
		seen++
		equal(t, "journal of "+path, summary(*e, o), onDisk(t, dir, path, o))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if seen != len(j) {
		t.Errorf("journal has %d paths, the directory %d", len(j), seen)
	}
}

func summary(e layer.Entry, o unpack.Options) string {
	if e.Type == layer.Whiteout {
		return "w"
	}
	if o.IDs == layer.SquashedIDs {
		e.UID, e.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	}
	if o.Whiteouts == layer.JournalOnly && e.Type == layer.Directory {
		e.Opaque, e.Mode = layer.Transparent, e.Mode|0o700 // these are in the journal only
	}
	s := fmt.Sprintf("%c %o %d:%d %d %d.%d %d:%d %q %x %v", e.Type, e.Mode, e.UID, e.GID, e.Size,
		e.ModTime.Unix(), e.ModTime.Nanosecond(), e.Major, e.Minor, e.Linkname, e.Sum, e.Path != "." && e.Opaque != layer.Transparent)
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		s += fmt.Sprintf(" %s=%q", name, e.Xattrs[name])
	}
	return s
}

// onDisk is summary of what stands at path.
func onDisk(t *testing.T, dir, path string, o unpack.Options) string {
	t.Helper()
	p := filepath.Join(dir, path)
	st := stat(t, dir, path)
	e := layer.Entry{
		Path: path, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, ModTime: time.Unix(int64(st.Mtim.Sec), int64(st.Mtim.Nsec)),
		Xattrs: xattrMap(t, p),
	}
	prefix := "trusted.overlay."
	if o.Xattrs == layer.UserXattrs {
		prefix = "user.overlay."
	}
	if e.Xattrs[prefix+"opaque"] == "y" {
		e.Opaque = layer.Marked
	}
	_, whiteout := e.Xattrs[prefix+"whiteout"]
	delete(e.Xattrs, prefix+"opaque")
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		e.Type = layer.Directory
	case unix.S_IFREG:
		var b []byte
		var err error
		readable(p, func() { b, err = os.ReadFile(p) })
		if err != nil {
			t.Error(err)
		}
		e.Type, e.Size, e.Sum = layer.Regular, int64(len(b)), filesum.Of(b)
	case unix.S_IFLNK:
		e.Type = layer.Symlink
		e.Linkname, _ = os.Readlink(p)
	case unix.S_IFIFO:
		e.Type = layer.FIFO
	case unix.S_IFSOCK:
		whiteout = o.Whiteouts == layer.JournalOnly
	case unix.S_IFCHR:
		e.Type, e.Major, e.Minor = layer.CharDevice, unix.Major(st.Rdev), unix.Minor(st.Rdev)
		whiteout = st.Rdev == 0
	case unix.S_IFBLK:
		e.Type, e.Major, e.Minor = layer.BlockDevice, unix.Major(st.Rdev), unix.Minor(st.Rdev)
	}
	if whiteout {
		return "w"
	}
	return summary(e, o)
}

func TestRecordsErrorEndsIt(t *testing.T) {
	full := errors.New("no more")
	_, err := unpackInto(t, tempDir(t), Tar(File("a", "")), unpack.Source{}, unpack.Options{
		Record: func(e layer.Entry) error {
			if e.Path == "a" {
				return full
			}
			return nil
		},
	})
	if !errors.Is(err, full) {
		t.Errorf("error = %v, want that of Record", err)
	}
}
