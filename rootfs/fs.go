// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
)

// FS is the root filesystem that an image shows. It is an [fs.FS] whose names
// need not be UTF-8, and safe for use by several goroutines.
//
// As a process in the root filesystem would see it, a symbolic link to an
// absolute path leads below the root, and ".." of the root is the root.
// Devices and FIFOs have no content: reading them gives io.EOF.
type FS struct {
	ctx    context.Context //nolint:containedctx // fs.FS has none
	reader *reader
	view   *stackview.View
}

var (
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
)

// Read reads all layers of an image, the lowest first, and writes nothing. Each
// layer was verified when Read returns. Contents are read with ctx later; see
// [FS.WithContext].
//
// Errors that the image causes are [ErrMalformed], [ErrLimit] and those of
// [unpack.Read].
func Read(ctx context.Context, layers []Layer, o Options) (*FS, error) {
	r := newReader(slices.Clone(layers), o)
	defer r.paths.Release()
	view, err := r.view(ctx)
	if err != nil {
		return nil, err
	}
	return &FS{ctx: ctx, reader: r, view: view}, nil
}

// WithContext is the same file system, whose contents are read with ctx.
func (f *FS) WithContext(ctx context.Context) *FS {
	return &FS{ctx: ctx, reader: f.reader, view: f.view}
}

// Lookup is what stands at path, as a process in the root filesystem would
// give it: "." and ".." may be in it, and symbolic links of its parents are
// followed, its own where follow is true or a slash follows it. The path of
// the answer is without them. The error is a [*PathError] with [ErrNoPath].
func (f *FS) Lookup(path string, follow bool) (File, error) {
	found, ok := f.view.Resolve(path, follow)
	if !ok {
		return File{}, &PathError{Path: path, Err: ErrNoPath}
	}
	return newFile(found), nil
}

// In yields what a directory holds, sorted by name, byte for byte. The path is
// one that [FS.Lookup] gave.
func (f *FS) In(dir string) iter.Seq[File] { return files(f.view.In(inside(dir))) }

// Below yields all that is below a directory, a directory before what is in
// it. The path is one that [FS.Lookup] gave.
func (f *FS) Below(dir string) iter.Seq[File] {
	return func(yield func(File) bool) {
		for file := range files(f.view.Below(inside(dir))) {
			if file.Path != dir && !yield(file) {
				return
			}
		}
	}
}

// Open implements [fs.FS]. The content of a regular file that is not in a
// store is fetched with its layer.
func (f *FS) Open(name string) (fs.File, error) {
	found, err := f.find("open", name, true)
	if err != nil {
		return nil, err
	}
	info := fileInfo{newFile(found), base(name)}
	switch found.Type {
	case layer.Directory:
		return &openDir{fileInfo: info, entries: f.entries(found.Path)}, nil
	case layer.Regular:
		content, err := f.content(found)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openFile{fileInfo: info, ReadCloser: content}, nil
	}
	return &openFile{fileInfo: info, ReadCloser: io.NopCloser(strings.NewReader(""))}, nil
}

func (f *FS) content(found stackview.File) (io.ReadCloser, error) {
	b := newBuffer(f.reader.options.Limits.Reserve)
	content, err := f.reader.content(f.ctx, found, b)
	if err != nil {
		_ = b.Close() // the other error says more
		return nil, err
	}
	return content, nil
}

// ReadDir implements [fs.ReadDirFS].
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	found, err := f.find("readdir", name, true)
	if err == nil && found.Type != layer.Directory {
		err = &fs.PathError{Op: "readdir", Path: name, Err: errNotDirectory}
	}
	if err != nil {
		return nil, err
	}
	return f.entries(found.Path), nil
}

// ReadLink implements [fs.ReadLinkFS]: the target is the image's, verbatim.
func (f *FS) ReadLink(name string) (string, error) {
	found, err := f.find("readlink", name, false)
	if err == nil && found.Type != layer.Symlink {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return found.Linkname, err
}

// Stat implements [fs.StatFS]. The Sys of its answer, and of all others, is a
// [File].
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.stat("stat", name, true) }

// Lstat implements [fs.ReadLinkFS].
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.stat("lstat", name, false) }

func (f *FS) stat(op, name string, follow bool) (fs.FileInfo, error) {
	found, err := f.find(op, name, follow)
	if err != nil {
		return nil, err
	}
	return fileInfo{newFile(found), base(name)}, nil
}

func (f *FS) find(op, name string, follow bool) (stackview.File, error) {
	if !valid(name) {
		return stackview.File{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	found, ok := f.view.Resolve(name, follow)
	if !ok {
		return stackview.File{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return found, nil
}

// valid is fs.ValidPath for names of any bytes.
func valid(name string) bool {
	if name == "." {
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

func (f *FS) entries(dir string) []fs.DirEntry {
	var list []fs.DirEntry
	for file := range files(f.view.In(dir)) {
		list = append(list, fs.FileInfoToDirEntry(fileInfo{file, base(file.Path)}))
	}
	return list
}
