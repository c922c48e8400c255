// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/ondisk"
	"github.com/layerctl/layerctl/layer"
)

// fill makes the files in the staging's lower dir as unpacking would, and
// records them. What they leave out gets plain values; the owner is the
// caller's unless a file says another.
func fill(g *Staging, rec LayerRecord, files ...file) error {
	root := ondisk.ProcPath(g.Dir())
	f := g.store.format
	if !slices.ContainsFunc(files, func(f file) bool { return f.Path == "." }) {
		files = slices.Insert(slices.Clone(files), 0, implied("."))
	}
	for i := range files {
		if err := makeFile(root, f, &files[i]); err != nil {
			return fmt.Errorf("%s: %w", files[i].Path, err)
		}
		if err := g.Record(files[i].Entry); err != nil {
			return err
		}
	}
	// Deepest first: what is made below a directory changes its time.
	dirs := slices.Clone(files)
	slices.SortFunc(dirs, func(a, b file) int { return strings.Count(b.Path, "/") - strings.Count(a.Path, "/") })
	for _, d := range dirs {
		if d.Type == layer.Directory {
			if err := attributes(filepath.Join(root, d.Path), d); err != nil {
				return err
			}
		}
	}
	root0 := slices.IndexFunc(dirs, func(f file) bool { return f.Path == "." })
	return attributes(root+"/.", dirs[root0])
}

func makeFile(root string, format Format, f *file) error {
	path := filepath.Join(root, f.Path)
	if f.ModTime.IsZero() {
		f.ModTime = testTime
		if f.Implied {
			f.ModTime = epoch
		}
	}
	switch f.Type {
	case layer.Directory:
		if f.Path != "." {
			if err := os.Mkdir(path, 0o755); err != nil {
				return err
			}
		}
		if f.Opaque != layer.Transparent && f.Path != "." {
			if err := unix.Lsetxattr(path, format.Xattr("opaque"), []byte("y"), 0); err != nil {
				return err
			}
		}
		return nil
	case layer.Symlink:
		if err := os.Symlink(f.Linkname, path); err != nil {
			return err
		}
	case layer.Hardlink:
		return os.Link(filepath.Join(root, f.Linkname), path)
	case layer.Whiteout:
		if format.Whiteouts == layer.CharDevices {
			return unix.Mknod(path, unix.S_IFCHR, 0)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		if err := unix.Setxattr(path, format.Xattr("whiteout"), []byte("y"), 0); err != nil {
			return err
		}
		return unix.Setxattr(filepath.Dir(path), format.Xattr("opaque"), []byte("x"), 0)
	case layer.FIFO:
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return err
		}
	default:
		if err := os.WriteFile(path, []byte(f.body), 0o600); err != nil {
			return err
		}
		f.Size, f.Sum = int64(len(f.body)), crc32.Checksum([]byte(f.body), crc32.MakeTable(crc32.Castagnoli))
	}
	return attributes(path, *f)
}

func attributes(path string, f file) error {
	if f.UID != 0 || f.GID != 0 {
		if err := os.Lchown(path, int(f.UID), int(f.GID)); err != nil {
			return err
		}
	}
	if f.Type != layer.Symlink {
		if err := unix.Chmod(path, f.Mode); err != nil {
			return err
		}
	}
	for name, value := range f.Xattrs {
		if err := unix.Lsetxattr(path, name, []byte(value), 0); err != nil {
			return err
		}
	}
	mtime, err := unix.TimeToTimespec(f.ModTime)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}, unix.AT_SYMLINK_NOFOLLOW)
}
