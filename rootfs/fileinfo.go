// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

var errNotDirectory = errors.New("not a directory")

// fileInfo is a File as an [fs.FileInfo]. name is the last name of the path that was
// opened, which for a symbolic link is not that of the file.
type fileInfo struct {
	file File
	name string
}

// Name implements [fs.FileInfo].
func (i fileInfo) Name() string { return i.name }

// Size implements [fs.FileInfo].
func (i fileInfo) Size() int64 { return i.file.Size }

// Mode implements [fs.FileInfo].
func (i fileInfo) Mode() fs.FileMode { return i.file.Mode }

// ModTime implements [fs.FileInfo].
func (i fileInfo) ModTime() time.Time { return i.file.ModTime }

// IsDir implements [fs.FileInfo].
func (i fileInfo) IsDir() bool { return i.file.Mode.IsDir() }

// Sys implements [fs.FileInfo].
func (i fileInfo) Sys() any { return i.file }

// String describes the file in a line.
func (i fileInfo) String() string { return fs.FormatFileInfo(i) }

// openFile is an open file that is no directory.
type openFile struct {
	fileInfo
	io.ReadCloser
}

// Stat implements [fs.File].
func (f *openFile) Stat() (fs.FileInfo, error) { return f.fileInfo, nil }

// openDir is an open directory.
type openDir struct {
	fileInfo
	entries []fs.DirEntry // those that ReadDir has not returned yet
}

// Stat implements [fs.File].
func (d *openDir) Stat() (fs.FileInfo, error) { return d.fileInfo, nil }

// Read implements [fs.File].
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: ErrDirectory}
}

// Close implements [fs.File].
func (d *openDir) Close() error { return nil }

// ReadDir implements [fs.ReadDirFile].
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 {
		n = len(d.entries)
	}
	list := d.entries[:min(n, len(d.entries))]
	d.entries = d.entries[len(list):]
	return list, nil
}
