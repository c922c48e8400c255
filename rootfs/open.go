// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
)

// OpenedFile is a regular file of an image, open for reading.
type OpenedFile struct {
	File
	io.ReadCloser
}

// Open opens the regular file at path in the root filesystem of an image; layers are
// given the lowest first. path is as for [FS.Lookup], and Open follows symbolic links,
// 40 at most.
//
// Open reads the topmost layer first, and stops as soon as it knows which layer has
// the file. It reads layers from the store, and fetches those that the store does not
// have. Each is fetched completely, because only then its digest is known. Until then
// up to 4 MiB of the file are kept in memory, and more in a file without a name in
// the directory for temporary files. If a link to the file, symbolic or hard, comes after
// the file in its layer, that layer is fetched once more.
//
// Open does not look for the attributes of directories that only lower layers describe.
//
// The error is a [*PathError], or one of [Read]. The caller closes the file.
func Open(ctx context.Context, layers []Layer, path string, o Options) (_ *OpenedFile, err error) {
	r := newReader(layers, o)
	defer r.paths.Release()
	s := &seeker{path: path, buffer: newBuffer(o.Limits.Reserve)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.buffer.Close())
		}
	}()
	for i := range slices.Backward(layers) {
		read, err := r.read(ctx, i, s)
		if err != nil {
			return nil, err
		}
		s.layers = append(s.layers, read)
		found, err := stackview.Search(path, true, i == 0, s.layers...)
		if errors.Is(err, stackview.ErrLinks) {
			return nil, &PathError{path, fmt.Errorf("%w: %w", ErrNoPath, err)}
		}
		if err != nil {
			return nil, err
		}
		if found.Settled {
			return r.open(ctx, path, found, s)
		}
	}
	return nil, &PathError{path, ErrNoPath}
}

// open opens the file that Search has found; found.Layer counts from the topmost.
func (r *reader) open(ctx context.Context, path string, found stackview.Found, s *seeker) (*OpenedFile, error) {
	switch {
	case !found.Exists:
		return nil, &PathError{path, ErrNoPath}
	case found.Type == layer.Directory:
		return nil, &PathError{path, ErrDirectory}
	case found.Type != layer.Regular:
		return nil, &PathError{path, ErrNotRegular}
	}
	file := found.File
	if s.has(file) {
		return &OpenedFile{newFile(file), s.buffer}, s.buffer.rewind(file.Size)
	}
	file.Layer = len(r.layers) - 1 - file.Layer
	content, err := r.content(ctx, file, s.buffer)
	if err != nil {
		return nil, err
	}
	return &OpenedFile{newFile(file), content}, nil
}

// content opens a regular file. If the store has it, content closes the buffer;
// otherwise it fetches the layer and returns the buffer with the file's content.
func (r *reader) content(ctx context.Context, f stackview.File, b *buffer) (io.ReadCloser, error) {
	l := r.layers[f.Layer]
	if stored.Has(r.options.Store, l.DiffID) {
		content, err := stored.OpenVerified(r.options.Store, l.DiffID, f)
		return content, errors.Join(err, b.Close())
	}
	var p *picker
	err := l.Fetch(ctx, func(blob io.Reader) error {
		p = &picker{wanted: f, buffer: b} // Fetch may begin anew
		ignore := func(layer.Entry) error { return nil }
		_, err := r.stream(ctx, l, blob, ignore, p)
		return errors.Join(err, p.err)
	})
	if err != nil {
		return nil, r.failed(f.Layer, err)
	}
	return b, b.rewind(f.Size)
}

// picker keeps the content of one file while its layer, whose entries are known, is
// fetched again. It knows the file by path, size and checksum. The layer may have
// several such files, for which a CRC-32C is no proof: whoever makes an image can give
// two contents the same one, and a mount would show the other. So their SHA-256 must be
// equal, too.
type picker struct {
	wanted stackview.File
	buffer *buffer
	found  bool
	sum    [sha256.Size]byte // of what was found
	hash   hash.Hash         // of the file that is read
	err    error
}

func (p *picker) begin(*stackview.Layer) {}

// content keeps each file with the name of the wanted one, until record finds that one
// by its checksum, which is known only after the content.
func (p *picker) content(e layer.Entry) io.Writer {
	if e.Path != p.wanted.Came {
		return nil
	}
	p.hash = sha256.New()
	if p.found {
		return p.hash
	}
	p.buffer.reset()
	return io.MultiWriter(p.buffer, p.hash)
}

func (p *picker) record(e layer.Entry) {
	if !isContentOf(e, p.wanted) || p.hash == nil {
		return
	}
	sum := [sha256.Size]byte(p.hash.Sum(nil))
	if p.found && sum != p.sum {
		p.err = errkind.With(errkind.Malformed, errors.New("its layer has another file of this name, size and checksum"))
	}
	p.found, p.sum = true, sum
}

// isContentOf reports whether e is the entry with the content of the file f.
func isContentOf(e layer.Entry, f stackview.File) bool {
	return e.Type == layer.Regular && e.Path == f.Came && e.Size == f.Size && e.Sum == f.Sum
}

// seeker keeps the content of the file at a path while layers are fetched, the topmost
// first. It keeps the file to which the path leads by the entries so far. A later
// symbolic link may lead elsewhere; then has is false for the file that Search finds.
type seeker struct {
	path   string
	layers []*stackview.Layer // those that were read completely
	buffer *buffer
	kept   layer.Entry // the entry whose content is in the buffer
	from   int         // its layer, counted from the topmost

	current *stackview.Layer
	way     string // where the path leads by the entries so far; see [stackview.Found]
}

func (s *seeker) begin(l *stackview.Layer) {
	s.current, s.kept = l, layer.Entry{}
	s.search()
}

// has reports whether the buffer has the content of the file that Search has found.
func (s *seeker) has(f stackview.File) bool { return s.from == f.Layer && isContentOf(s.kept, f) }

// search updates s.way.
func (s *seeker) search() {
	layers := append(slices.Clone(s.layers), s.current)
	if found, err := stackview.Search(s.path, true, false, layers...); err == nil {
		s.way = found.Way
	}
}

func (s *seeker) content(e layer.Entry) io.Writer {
	if e.Path != s.way {
		return nil
	}
	s.kept = layer.Entry{}
	s.buffer.reset()
	return s.buffer
}

func (s *seeker) record(e layer.Entry) {
	switch {
	case e.Type == layer.Regular && e.Path == s.way:
		s.kept, s.from = e, len(s.layers)
	case e.Type == layer.Symlink && (e.Path == s.way || strings.HasPrefix(s.way, e.Path+"/")):
		s.search()
	}
}
