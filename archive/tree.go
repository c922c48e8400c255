// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/layer"
)

// Owner is a user and a group, by number.
type Owner struct{ UID, GID uint32 }

// TreeOptions say how a tree of files becomes a tar. The zero value writes entries as they
// are.
type TreeOptions struct {
	// Owner is the owner of all entries; nil leaves each its own. An entry of another
	// user loses its set-user-ID bit and capabilities, an entry of another group its
	// set-group-ID bit.
	Owner *Owner
	// Latest replaces later times of modification; zero leaves them as they are.
	Latest time.Time
}

// TreeWriter writes a tree of files as a tar in POSIX's pax format: with times in
// nanoseconds, extended attributes as SCHILY.xattr records, and names of any length and
// any bytes. Entries are in the order in which they are written. The same entries give the
// same bytes.
type TreeWriter struct {
	tar     *tar.Writer
	options TreeOptions
	cleared int
}

// Cleared returns how many files have lost set-id bits or capabilities so far, because of
// TreeOptions.Owner.
func (w *TreeWriter) Cleared() int { return w.cleared }

// NewTreeWriter returns a writer of a tar into to.
func NewTreeWriter(to io.Writer, o TreeOptions) *TreeWriter {
	return &TreeWriter{tar: tar.NewWriter(to), options: o}
}

var typeflags = map[layer.Type]byte{
	layer.Regular: tar.TypeReg, layer.Directory: tar.TypeDir, layer.Symlink: tar.TypeSymlink,
	layer.Hardlink: tar.TypeLink, layer.CharDevice: tar.TypeChar, layer.BlockDevice: tar.TypeBlock, layer.FIFO: tar.TypeFifo,
}

// Write writes one path. The Linkname of a hard link must be a path that was written
// before. content is that of a regular file, and else nil. It is read to its end; if its
// length or its checksum differs from the entry's, the error is [ErrMismatch].
func (w *TreeWriter) Write(e layer.Entry, content io.Reader) error {
	flag, ok := typeflags[e.Type]
	if !ok {
		return fmt.Errorf("%.200q: a %q has no place in a tar", e.Path, rune(e.Type))
	}
	h := &tar.Header{
		Typeflag: flag, Format: tar.FormatPAX, Name: e.Path, Linkname: e.Linkname, Size: e.Size,
		Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID), ModTime: e.ModTime,
		Devmajor: int64(e.Major), Devminor: int64(e.Minor),
	}
	if e.Type == layer.Directory {
		h.Name += "/"
	}
	if w.options.Owner != nil {
		e = w.own(e)
		h.Uid, h.Gid, h.Mode = int(e.UID), int(e.GID), int64(e.Mode)
	}
	if !w.options.Latest.IsZero() && h.ModTime.After(w.options.Latest) {
		h.ModTime = w.options.Latest
	}
	for name, value := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+name] = value
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("%.200q: %w", e.Path, err)
	}
	if e.Type != layer.Regular {
		return nil
	}
	return w.content(e, content)
}

// own returns the entry with the owner of the options.
func (w *TreeWriter) own(e layer.Entry) layer.Entry {
	const setUserID, setGroupID, capability = 0o4000, 0o2000, "security.capability"
	owner, mode := *w.options.Owner, e.Mode
	_, able := e.Xattrs[capability]
	if able = able && e.UID != owner.UID; able {
		e.Xattrs = maps.Clone(e.Xattrs)
		delete(e.Xattrs, capability)
	}
	if e.UID != owner.UID {
		e.Mode &^= setUserID
	}
	if e.GID != owner.GID {
		e.Mode &^= setGroupID
	}
	if e.Type != layer.Hardlink && (able || e.Mode != mode) {
		w.cleared++
	}
	e.UID, e.GID = owner.UID, owner.GID
	return e
}

func (w *TreeWriter) content(e layer.Entry, content io.Reader) error {
	sum := filesum.New()
	n, err := io.Copy(io.MultiWriter(w.tar, sum), content)
	switch {
	case errors.Is(err, tar.ErrWriteTooLong), err == nil && n != e.Size:
		return fmt.Errorf("%.200q: %w: its length is not %d bytes", e.Path, ErrMismatch, e.Size)
	case err != nil:
		return fmt.Errorf("%.200q: %w", e.Path, err)
	case sum.Sum32() != e.Sum:
		return fmt.Errorf("%.200q: %w: its content has another sum", e.Path, ErrMismatch)
	}
	return nil
}

// Close writes the end of the tar, which is incomplete without it. It does not close the
// writer below.
func (w *TreeWriter) Close() error { return w.tar.Close() }
