// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
)

// FS is the root filesystem of an image. It is an [fs.FS], except that names need not
// be UTF-8. Several goroutines may use it.
//
// Paths mean what they mean to a process in the root filesystem: a symbolic link to an
// absolute path leads below the root, and ".." of the root is the root. Devices and
// FIFOs have no content: reading them returns io.EOF.
type FS struct {
	ctx    context.Context //nolint:containedctx // the methods of fs.FS take none
	reader *reader
	view   *stackview.View
}

var (
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
)

// Read reads and verifies all layers of an image, given the lowest first, and writes
// nothing to a disk. The FS opens files with ctx; see [FS.WithContext].
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

// WithContext returns the same FS, which opens files with ctx.
func (f *FS) WithContext(ctx context.Context) *FS {
	return &FS{ctx: ctx, reader: f.reader, view: f.view}
}

// Lookup describes the file at path, as a process in the root filesystem would give
// it: absolute or not, and with "." and "..". It follows symbolic links among the
// parents, and at the end of the path if follow is true or path ends with a slash. The
// answer has the path without these links. The error is a [*PathError] with
// [ErrNoPath].
func (f *FS) Lookup(path string, follow bool) (File, error) {
	found, ok := f.view.Resolve(path, follow)
	if !ok {
		return File{}, &PathError{Path: path, Err: ErrNoPath}
	}
	return newFile(found), nil
}

// In yields the content of a directory, sorted by the bytes of the names. dir is a
// path that [FS.Lookup] has returned.
func (f *FS) In(dir string) iter.Seq[File] { return files(f.view.In(inside(dir))) }

// Below yields everything below a directory, each directory before its content. dir is
// a path that [FS.Lookup] has returned.
func (f *FS) Below(dir string) iter.Seq[File] {
	return func(yield func(File) bool) {
		for file := range files(f.view.Below(inside(dir))) {
			if file.Path != dir && !yield(file) {
				return
			}
		}
	}
}

// Open implements [fs.FS]. For a regular file it reads and verifies the whole content
// first. If the file is not in a store, Open fetches its layer.
func (f *FS) Open(name string) (fs.File, error) {
	found, err := f.find("open", name, true)
	if err != nil {
		return nil, err
	}
	info := fileInfo{newFile(found), path.Base(name)}
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

// ReadLink implements [fs.ReadLinkFS]. The target is verbatim.
func (f *FS) ReadLink(name string) (string, error) {
	found, err := f.find("readlink", name, false)
	if err == nil && found.Type != layer.Symlink {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return found.Linkname, err
}

// Stat implements [fs.StatFS]. The Sys method of this and of any other [fs.FileInfo]
// of the FS returns a [File].
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.stat("stat", name, true) }

// Lstat implements [fs.ReadLinkFS].
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.stat("lstat", name, false) }

func (f *FS) stat(op, name string, follow bool) (fs.FileInfo, error) {
	found, err := f.find(op, name, follow)
	if err != nil {
		return nil, err
	}
	return fileInfo{newFile(found), path.Base(name)}, nil
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

// valid is [fs.ValidPath] for names that need not be UTF-8.
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
		list = append(list, fs.FileInfoToDirEntry(fileInfo{file, path.Base(file.Path)}))
	}
	return list
}
