// SPDX-License-Identifier: Apache-2.0

package local

import (
	"archive/tar"
	"bufio"
	"context"
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
	// maxEntries bounds an archive's table of contents. An image has at most
	// some hundred blobs, docker's old form three files a layer.
	maxEntries = 100_000
	// maxNames bounds the bytes of all names in it: a header may have one of a
	// megabyte.
	maxNames = 16 << 20
	// maxLinks bounds the links from one name to its file.
	maxLinks = 10
)

// extent is where in an archive a file's content lies, or what else there is.
type extent struct {
	offset, size int64
	link         string // of a link, as a clean name
	other        string // what it is, if it is neither a file nor a link
}

// archive is a tar file with its table of contents. The names in it are keys
// only, never paths.
type archive struct {
	file     *os.File
	path     string // of what the user named, for errors
	shared   bool   // the file is not this archive's to close
	contents map[string]extent
}

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

// indexTar reads the headers and skips the contents. A later entry replaces an
// earlier one of the same name, as it would when unpacked; twice has the names
// of such.
func indexTar(ctx context.Context, r io.ReaderAt, size int64) (contents map[string]extent, twice []string, err error) {
	contents = map[string]extent{}
	at := &position{ReadSeeker: io.NewSectionReader(r, 0, size)}
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
		if !inside { // no name that is asked for can mean it
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

// position hides all of a ReadSeeker but what archive/tar needs, so that it
// reads headers only and the position is where the content begins.
type position struct{ io.ReadSeeker }

func (p *position) now() (int64, error) { return p.Seek(0, io.SeekCurrent) }

func locate(h *tar.Header, at *position, size int64) (extent, error) {
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
	offset, err := at.now()
	if err != nil {
		return extent{}, err
	}
	if h.Size < 0 || h.Size > size-offset {
		return extent{}, failure.New(failure.Malformed, "%d bytes, of which the archive has %d", h.Size, size-offset)
	}
	return extent{offset: offset, size: h.Size}, nil
}

const directoryEntry = "a directory"

// linkTo resolves a link as if the archive were the root of all files.
func linkTo(name string) extent {
	target, _ := clean(name)
	if target == "" {
		return extent{other: directoryEntry}
	}
	return extent{link: target}
}

// clean makes a name of an archive a key: without "./", a "/" before it and
// "..". inside is false for one that leads out of the archive.
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
	// Blobs are read concurrently; the tar of a layer comes in small reads.
	section := io.NewSectionReader(a.file, e.offset, e.size)
	return file{io.NopCloser(bufio.NewReaderSize(section, 64<<10)), e.size}, nil
}

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
