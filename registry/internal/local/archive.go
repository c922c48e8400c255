// SPDX-License-Identifier: Apache-2.0

package local

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/registry/internal/failure"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxEntries bounds the entries of an archive. An image has some hundred blobs at
	// most; docker's old form has three files for each layer.
	maxEntries = 100_000
	// maxNames bounds the bytes of all names in an archive: one header may have a name
	// of a megabyte.
	maxNames = 16 << 20
	// maxLinks bounds the links that are followed from a name to its file.
	maxLinks = 10
)

// extent is an entry of an archive.
type extent struct {
	offset, size int64  // where the content of a file lies
	link         string // the target of a link, as a clean name
	other        string // what the entry is, if neither a file nor a link
}

// archive is a tar file with its table of contents. The names in it are used as keys
// only, never as paths.
type archive struct {
	file     *os.File
	path     string // what the user named, for errors
	shared   bool   // others use the file too: it is not closed
	contents map[string]extent
}

// index reads the table of contents.
func (a *archive) index(ctx context.Context, log *slog.Logger) error {
	st, err := a.file.Stat()
	if err != nil {
		return err
	}
	contents, twice, err := indexTar(ctx, a.file, st.Size())
	if err != nil {
		return err
	}
	for _, name := range []string{ocispec.ImageLayoutFile, ocispec.ImageIndexFile, dockerManifest} {
		if slices.Contains(twice, name) {
			log.Warn("a file is in the archive more than once; the last one counts", "archive", a.path, "file", name)
		}
	}
	a.contents = contents
	return nil
}

// indexTar reads the headers and skips the contents. A later entry replaces an earlier
// one of the same name, as it would when the archive is unpacked; twice lists the names
// of files and links that were replaced.
func indexTar(ctx context.Context, r io.ReaderAt, size int64) (contents map[string]extent, twice []string, err error) {
	contents = map[string]extent{}
	// Without the other methods of a SectionReader archive/tar reads headers only, and
	// leaves the position where the content begins.
	at := struct{ io.ReadSeeker }{io.NewSectionReader(r, 0, size)}
	tr := tar.NewReader(at)
	names := 0
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		h, err := tr.Next()
		if err == io.EOF {
			return contents, twice, nil
		}
		if n == 0 && errors.Is(err, tar.ErrHeader) {
			return nil, nil, failure.New(failure.Malformed, "it is no tar file, or is damaged where it begins")
		}
		if err != nil {
			return nil, nil, failure.New(failure.Malformed, "read the archive's table of contents, entry %d: %w", n, err)
		}
		if n >= maxEntries {
			return nil, nil, failure.New(failure.Malformed, "the archive has more than %d entries", maxEntries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		e, err := locate(h, at, size)
		if err != nil {
			return nil, nil, fmt.Errorf("archive entry %q: %w", failure.OneLine(h.Name), err)
		}
		key, inside := clean(h.Name)
		if !inside { // nobody can ask for it, see extent
			continue
		}
		if names += len(key) + len(e.link); names > maxNames {
			return nil, nil, failure.New(failure.Malformed, "the names in the archive have more than %d bytes", maxNames)
		}
		if had, ok := contents[key]; ok && had.other == "" {
			twice = append(twice, key)
		}
		contents[key] = e
	}
}

// locate makes the entry of a header, behind which r stands.
func locate(h *tar.Header, r io.Seeker, size int64) (extent, error) {
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink:
		return linkTo(path.Join(path.Dir(h.Name), h.Linkname)), nil
	case tar.TypeLink:
		return linkTo(h.Linkname), nil
	case tar.TypeDir:
		return extent{other: directoryEntry}, nil
	case tar.TypeGNUSparse:
		return extent{}, failure.New(failure.Malformed, "sparse file")
	default:
		return extent{other: "no regular file"}, nil
	}
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return extent{}, failure.New(failure.Malformed, "sparse file")
		}
	}
	offset, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return extent{}, err
	}
	if h.Size < 0 || h.Size > size-offset {
		return extent{}, failure.New(failure.Malformed, "%d bytes, of which the archive has %d", h.Size, size-offset)
	}
	return extent{offset: offset, size: h.Size}, nil
}

const directoryEntry = "a directory"

// linkTo makes the entry of a link to a name. The top of the archive is its root
// directory, which no ".." leads out of.
func linkTo(name string) extent {
	target, _ := clean(name)
	if target == "" {
		return extent{other: directoryEntry}
	}
	return extent{link: target}
}

// clean makes the key of a name in an archive: without a leading "/" or "./", and
// without "..". inside is false for a name that leads out of the archive.
func clean(name string) (key string, inside bool) {
	lexical := path.Clean(strings.TrimLeft(name, "/"))
	return path.Clean("/" + name)[1:], lexical != ".." && !strings.HasPrefix(lexical, "../")
}

func (a *archive) close() error {
	if a.shared {
		return nil
	}
	return a.file.Close()
}

func (a *archive) open(name string) (file, error) {
	e, err := a.extent(name)
	if err != nil {
		return file{}, err
	}
	// Readers of a layer's tar read few bytes at a time.
	section := io.NewSectionReader(a.file, e.offset, e.size)
	return file{io.NopCloser(bufio.NewReaderSize(section, 64<<10)), e.size}, nil
}

// extent returns the file of that name, after following links.
func (a *archive) extent(name string) (extent, error) {
	key, inside := clean(name)
	if !inside {
		return extent{}, failure.New(failure.Malformed, "%q leads out of %s", failure.OneLine(name), a.path)
	}
	for range maxLinks {
		e, ok := a.contents[key]
		switch {
		case !ok:
			return e, fmt.Errorf("%s in %s: %w", failure.OneLine(name), a.path, fs.ErrNotExist)
		case e.other != "":
			return e, failure.New(failure.Malformed, "%s in %s is %s", failure.OneLine(name), a.path, e.other)
		case e.link == "":
			return e, nil
		}
		key = e.link
	}
	return extent{}, failure.New(failure.Malformed, "%s in %s: too many links", failure.OneLine(name), a.path)
}
