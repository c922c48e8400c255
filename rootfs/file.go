// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
)

// What can be wrong with a path in an image.
var (
	ErrNoPath     = errkind.New(errkind.NotFound, "no such file or directory in the image")
	ErrDirectory  = errors.New("is a directory")
	ErrNotRegular = errors.New("is no regular file")
)

// PathError says what is wrong with a path in an image. errors.Is finds one of
// [ErrNoPath], [ErrDirectory], [ErrNotRegular].
type PathError struct {
	Path string
	Err  error
}

func (e *PathError) Error() string { return fmt.Sprintf("%.200q: %v", e.Path, e.Err) }

// Unwrap returns Err.
func (e *PathError) Unwrap() error { return e.Err }

// File describes one path of an image's root filesystem. Names and attributes are
// those of the image, also those that the caller could not set on a disk. They may be
// hostile: of a name only this is promised, that it has no slash and no NUL.
type File struct {
	// Path is absolute. No name before the last one is a symbolic link.
	Path string
	// Mode has the type, the permissions, and the bits for setuid, setgid and
	// sticky.
	Mode     fs.FileMode
	UID, GID uint32
	// Size is the length of a regular file's content in bytes, else 0.
	Size int64
	// Sum is the CRC-32C (Castagnoli) of a regular file's content, else 0.
	Sum     uint32
	ModTime time.Time
	// Target is the target of a symbolic link, verbatim; else "".
	Target string
	// Major and Minor are the numbers of a device, else 0.
	Major, Minor uint32
	// Xattrs are the extended attributes that the layer's tar sets and that a layer
	// may set.
	Xattrs map[string]string
	// Names is how many names the file has in the image; 1 for a directory.
	Names int
}

var fileTypes = map[layer.Type]fs.FileMode{
	layer.Directory: fs.ModeDir, layer.Symlink: fs.ModeSymlink, layer.FIFO: fs.ModeNamedPipe,
	layer.CharDevice: fs.ModeDevice | fs.ModeCharDevice, layer.BlockDevice: fs.ModeDevice,
}

func newFile(f stackview.File) File {
	mode := fileTypes[f.Type] | fs.FileMode(f.Mode&0o777)
	for bit, m := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if f.Entry.Mode&bit != 0 {
			mode |= m
		}
	}
	file := File{
		Path: outside(f.Path), Mode: mode, UID: f.UID, GID: f.GID, Size: f.Size, ModTime: f.ModTime,
		Major: f.Major, Minor: f.Minor, Xattrs: f.Xattrs, Names: f.Names,
	}
	switch f.Type {
	case layer.Symlink:
		file.Target = f.Linkname
	case layer.Regular:
		file.Sum = f.Sum
	}
	return file
}

func files(found iter.Seq[stackview.File]) iter.Seq[File] {
	return func(yield func(File) bool) {
		for f := range found {
			if !yield(newFile(f)) {
				return
			}
		}
	}
}

// outside returns the absolute path for a path of a layer.
func outside(path string) string {
	if path == "." {
		return "/"
	}
	return "/" + path
}

// inside returns the path of a layer for an absolute path.
func inside(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return "."
	}
	return path
}
