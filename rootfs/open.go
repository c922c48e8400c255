// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
)

// OpenedFile is a regular file of an image with its content.
type OpenedFile struct {
	File
	io.ReadCloser
}

// Open opens the regular file at path in the root filesystem that the layers,
// the lowest first, show. path is as for [FS.Lookup], and symbolic links are
// followed, 40 at most. The attributes of a directory that only lower layers
// describe are not looked for.
//
// Layers are read from the topmost down, and no further than it takes to know
// which layer has the file. Those that the store has are read there. The rest
// is fetched, each whole, for only at its end its digest is known. Until then
// up to 4 MiB of the file are kept in memory, and more in a file without a
// name in the directory for temporary files. Where what leads to the file
// stands behind it in its layer, that layer is fetched once more.
//
// Errors are a [*PathError], and those of [Read]. The caller closes the file.
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

// open opens what was found. Search counts layers from the topmost.
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

// content opens the content of a regular file: the store's, or what a fetch of
// its layer leaves in the buffer, which is closed in the other case.
func (r *reader) content(ctx context.Context, f stackview.File, b *buffer) (io.ReadCloser, error) {
	l := r.layers[f.Layer]
	if stored.Has(r.options.Store, l.DiffID) {
		content, err := stored.OpenVerified(r.options.Store, l.DiffID, f)
		return content, errors.Join(err, b.Close())
	}
	err := l.Fetch(ctx, func(blob io.Reader) error {
		unheard := func(layer.Entry) error { return nil }
		_, err := r.stream(ctx, l, blob, unheard, &picker{wanted: f, buffer: b})
		return err
	})
	if err != nil {
		return nil, r.failed(f.Layer, err)
	}
	return b, b.rewind(f.Size)
}

// picker keeps the content of one file of a layer that was read before.
type picker struct {
	wanted stackview.File
	buffer *buffer
	found  bool
}

func (p *picker) begin(*stackview.Layer) {}

// content keeps each file that has the wanted one's name: which of them it is
// shows in the entry, which has the sum of the content.
func (p *picker) content(e layer.Entry) io.Writer {
	if p.found || e.Path != p.wanted.Came {
		return nil
	}
	p.buffer.reset()
	return p.buffer
}

func (p *picker) record(e layer.Entry) {
	p.found = p.found || isContentOf(e, p.wanted)
}

// isContentOf is true for the entry that brought the content of a file.
func isContentOf(e layer.Entry, f stackview.File) bool {
	return e.Type == layer.Regular && e.Path == f.Came && e.Size == f.Size && e.Sum == f.Sum
}

// seeker watches layers go by, the topmost first, for the file that a path
// leads to as far as is known: what stands at the end of a layer may lead
// elsewhere.
type seeker struct {
	path   string
	layers []*stackview.Layer // that are whole
	buffer *buffer
	kept   layer.Entry // whose content is in the buffer
	from   int         // the layer of that, counted from the topmost

	current *stackview.Layer
	way     string // where the file is, by what is known
}

func (s *seeker) begin(l *stackview.Layer) {
	s.current, s.kept = l, layer.Entry{}
	s.search()
}

// has is true where the buffer has the content of a file that Search found.
func (s *seeker) has(f stackview.File) bool { return s.from == f.Layer && isContentOf(s.kept, f) }

// search finds out where the file is by now.
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
