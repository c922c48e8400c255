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

// What may be wrong with a path in an image.
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

// Unwrap is the kind of error.
func (e *PathError) Unwrap() error { return e.Err }

// File is one path of an image's root filesystem. Names and attributes are as
// the image has them, whatever the caller may set on a disk, and may be
// hostile: nothing is promised of a name but that it has no slash and no NUL.
type File struct {
	// Path is absolute and has no symbolic link before its last name.
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
	// Target is a symbolic link's, verbatim.
	Target string
	// Major and Minor number a device.
	Major, Minor uint32
	// Xattrs are the extended attributes, those that a layer may set.
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

// outside is a layer's path as one of a root filesystem.
func outside(path string) string {
	if path == "." {
		return "/"
	}
	return "/" + path
}

// inside is the other way round.
func inside(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return "."
	}
	return path
}
