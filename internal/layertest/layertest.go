// SPDX-License-Identifier: Apache-2.0

// Package layertest makes the files of a layer, as unpacking would, for tests.
package layertest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/layer"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// File is one path of a layer.
type File struct {
	layer.Entry
	Body string
	// Bare is a directory that is there for whiteouts only.
	Bare bool
}

// Time is what files have whose time a test does not say.
var Time = time.Unix(1700000000, 123456789).UTC()

// Epoch is the time of directories that are implied.
var Epoch = time.Unix(0, 0).UTC()

// Regular is a file.
func Regular(path, body string) File {
	return File{Entry: layer.Entry{Path: path, Type: layer.Regular, Mode: 0o644}, Body: body}
}

// Dir is a directory.
func Dir(path string, mode uint32) File {
	return File{Entry: layer.Entry{Path: path, Type: layer.Directory, Mode: mode}}
}

// Implied is a directory that the tar has no entry for.
func Implied(path string) File {
	return File{Entry: layer.Entry{Path: path, Type: layer.Directory, Mode: 0o755, Implied: true}}
}

// Whiteout deletes path.
func Whiteout(path string) File {
	return File{Entry: layer.Entry{Path: path, Type: layer.Whiteout}}
}

// Symlink is a symbolic link.
func Symlink(path, target string) File {
	return File{Entry: layer.Entry{Path: path, Type: layer.Symlink, Mode: 0o777, Linkname: target}}
}

// Hardlink is another name of target.
func Hardlink(path, target string) File {
	return File{Entry: layer.Entry{Path: path, Type: layer.Hardlink, Linkname: target}}
}

// DiffID is that of a layer that never was a tar.
func DiffID(name string) digest.Digest { return digest.FromString("layer " + name) }

// Facts adds to f what unpacking would note of the files.
func Facts(f layer.Facts, files []File) layer.Facts {
	if !slices.ContainsFunc(files, func(f File) bool { return f.Path == "." }) {
		f.Implied = append(f.Implied, layer.ImpliedDir{Path: "."})
	}
	for _, one := range files {
		if one.Implied {
			f.Implied = append(f.Implied, layer.ImpliedDir{Path: layer.Path(one.Path), Opaque: one.Opaque, Bare: one.Bare})
		}
		parent := layer.Path(filepath.Dir(one.Path))
		if one.Type == layer.Whiteout && !slices.Contains(f.WhiteoutParents, parent) {
			f.WhiteoutParents = append(f.WhiteoutParents, parent)
		}
	}
	return f
}

// Staging is what a layer is filled in.
type Staging interface {
	Dir() *os.File
	Record(layer.Entry) error
}

// Fill makes the files in the staging's lower dir as unpacking would, and
// records them. What they leave out gets plain values; the owner is the
// caller's unless a file says another.
func Fill(g Staging, form layer.Form, files ...File) error {
	root := fmt.Sprintf("/proc/self/fd/%d", g.Dir().Fd())
	if !slices.ContainsFunc(files, func(f File) bool { return f.Path == "." }) {
		files = slices.Insert(slices.Clone(files), 0, Implied("."))
	}
	for i := range files {
		if err := makeFile(root, form, &files[i]); err != nil {
			return fmt.Errorf("%s: %w", files[i].Path, err)
		}
		if err := g.Record(files[i].Entry); err != nil {
			return err
		}
	}
	// Deepest first: what is made below a directory changes its time.
	dirs := slices.Clone(files)
	slices.SortFunc(dirs, func(a, b File) int { return strings.Count(b.Path, "/") - strings.Count(a.Path, "/") })
	for _, d := range dirs {
		if d.Type == layer.Directory {
			if err := SetAttributes(filepath.Join(root, d.Path), d); err != nil {
				return err
			}
		}
	}
	top := slices.IndexFunc(dirs, func(f File) bool { return f.Path == "." })
	return SetAttributes(root+"/.", dirs[top])
}

func makeFile(root string, form layer.Form, f *File) error {
	path := filepath.Join(root, f.Path)
	if f.ModTime.IsZero() {
		f.ModTime = Time
		if f.Implied {
			f.ModTime = Epoch
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
			if err := unix.Lsetxattr(path, form.Xattr("opaque"), []byte("y"), 0); err != nil {
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
		if form.Whiteouts == layer.CharDevices {
			return unix.Mknod(path, unix.S_IFCHR, 0)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		if err := unix.Setxattr(path, form.Xattr("whiteout"), []byte("y"), 0); err != nil {
			return err
		}
		return unix.Setxattr(filepath.Dir(path), form.Xattr("opaque"), []byte("x"), 0)
	case layer.FIFO:
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return err
		}
	default:
		if err := os.WriteFile(path, []byte(f.Body), 0o600); err != nil {
			return err
		}
		f.Size, f.Sum = int64(len(f.Body)), filesum.Of([]byte(f.Body))
	}
	return SetAttributes(path, *f)
}

// SetAttributes sets those of f on the file at path.
func SetAttributes(path string, f File) error {
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
