// SPDX-License-Identifier: Apache-2.0

package local

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

const (
	// maxEntries bounds an archive's table of contents. An image has at most
	// some hundred blobs, docker's old form three files a layer.
	maxEntries = 100_000
	// maxLinks bounds the links from one name to its file.
	maxLinks = 10
)

// extent is where in an archive a file's content lies, or what it links to.
type extent struct {
	offset, size int64
	link         string // of a link, as a clean name
}

// archive is a tar file with its table of contents. Nothing is unpacked, and
// the names in it are keys only, never paths.
type archive struct {
	file     *os.File
	contents map[string]extent
}

func openArchive(ctx context.Context, name string) (*archive, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure.Mark(failure.NotFound, err)
	}
	if err != nil {
		return nil, err
	}
	a, err := indexFile(ctx, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

func indexFile(ctx context.Context, f *os.File) (*archive, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, failure.New(failure.Malformed, "%s is no regular file", f.Name())
	}
	if err := refuseCompressed(f); err != nil {
		return nil, err
	}
	contents, err := indexTar(ctx, f, st.Size())
	if err != nil {
		return nil, err
	}
	return &archive{f, contents}, nil
}

// refuseCompressed says so early: blobs are read where they lie, which a
// compressed archive does not allow.
func refuseCompressed(r io.ReaderAt) error {
	var magic [4]byte
	n, _ := r.ReadAt(magic[:], 0)
	if c := compression(magic[:n]); c != "" {
		return failure.New(failure.Malformed, "the archive is compressed with %s: decompress it first", c)
	}
	return nil
}

func compression(magic []byte) string {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	}
	return ""
}

// indexTar reads the headers and skips the contents. A later entry replaces an
// earlier one of the same name, as it would when unpacked.
func indexTar(ctx context.Context, r io.ReaderAt, size int64) (map[string]extent, error) {
	contents := map[string]extent{}
	at := &position{ReadSeeker: io.NewSectionReader(r, 0, size)}
	tr := tar.NewReader(at)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := tr.Next()
		if err == io.EOF {
			return contents, nil
		}
		if err != nil {
			return nil, failure.New(failure.Malformed, "read the archive's table of contents, entry %d: %w", n, err)
		}
		if n >= maxEntries {
			return nil, failure.New(failure.Malformed, "the archive has more than %d entries", maxEntries)
		}
		e, err := locate(h, at, size)
		if err != nil {
			return nil, fmt.Errorf("archive entry %q: %w", failure.OneLine(h.Name), err)
		}
		if e != nil {
			contents[clean(h.Name)] = *e
		}
	}
}

// position hides all of a ReadSeeker but what archive/tar needs, so that it
// reads headers only and the position is where the content begins.
type position struct{ io.ReadSeeker }

func (p *position) now() (int64, error) { return p.Seek(0, io.SeekCurrent) }

func locate(h *tar.Header, at *position, size int64) (*extent, error) {
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink:
		return &extent{link: clean(path.Join(path.Dir(h.Name), h.Linkname))}, nil
	case tar.TypeLink:
		return &extent{link: clean(h.Linkname)}, nil
	case tar.TypeGNUSparse:
		return nil, failure.New(failure.Malformed, "sparse file")
	default:
		return nil, nil
	}
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return nil, failure.New(failure.Malformed, "sparse file")
		}
	}
	offset, err := at.now()
	if err != nil {
		return nil, err
	}
	if h.Size < 0 || h.Size > size-offset {
		return nil, failure.New(failure.Malformed, "%d bytes, of which the archive has %d", h.Size, size-offset)
	}
	return &extent{offset: offset, size: h.Size}, nil
}

// clean makes a name of an archive a key: without "./", "/" and "..".
func clean(name string) string { return path.Clean("/" + name)[1:] }

func (a *archive) close() error { return a.file.Close() }

func (a *archive) open(name string) (file, error) {
	e, err := a.extent(name)
	if err != nil {
		return file{}, err
	}
	// Blobs are read concurrently; the tar of a layer comes in small reads.
	section := io.NewSectionReader(a.file, e.offset, e.size)
	return file{io.NopCloser(bufio.NewReaderSize(section, 64<<10)), e.size}, nil
}

func (a *archive) extent(name string) (extent, error) {
	key := clean(name)
	for range maxLinks {
		e, ok := a.contents[key]
		if !ok {
			return e, fmt.Errorf("%s in %s: %w", failure.OneLine(name), a.file.Name(), fs.ErrNotExist)
		}
		if e.link == "" {
			return e, nil
		}
		key = e.link
	}
	return extent{}, failure.New(failure.Malformed, "%s in %s: too many links", failure.OneLine(name), a.file.Name())
}
