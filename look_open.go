// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// OpenedFile is a regular file of an image with its content.
type OpenedFile struct {
	File
	io.ReadCloser
}

// OpenFile opens the regular file at path in the root filesystem that the image
// shows; path is as for [View.Stat], and symbolic links are followed, 40 at
// most. Of a directory that no layer says anything of the attributes are not
// looked for in lower layers.
//
// Layers are read from the topmost down, and no further than it takes to know
// which layer has the file. Those that the store has are read there. The rest
// is fetched, each whole, for only at its end its digest is known: not a byte
// of the content is given out before. Until then up to 4 MiB are kept in
// memory, and more in a file without a name in the directory for temporary
// files. Where what leads to the file stands behind it in its layer, that
// layer is fetched once more.
//
// Errors are a [*PathError], and those of [Client.View]. The caller closes the
// file.
func (c *Client) OpenFile(ctx context.Context, ref, path string, o LookOptions) (*OpenedFile, error) {
	var file *OpenedFile
	err := c.look(ctx, ref, o, func(k *look) (err error) {
		file, err = k.open(ctx, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

// open reads layers until the path is settled, and then the file.
func (k *look) open(ctx context.Context, path string) (_ *OpenedFile, err error) {
	top := slices.Clone(k.layers)
	slices.Reverse(top)
	s := &seeker{path: path, spool: newSpool()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.spool.Close())
		}
	}()
	for _, l := range top {
		layer, err := k.read(ctx, l, s)
		if err != nil {
			return nil, err
		}
		s.end(layer)
		found, err := stackview.Search(path, true, len(s.layers) == len(top), s.layers...)
		if errors.Is(err, stackview.ErrLinks) {
			return nil, &PathError{path, fmt.Errorf("%w: %w", ErrNoPath, err)}
		}
		if err != nil {
			return nil, err
		}
		if found.Settled {
			return k.found(ctx, path, found, top, s)
		}
	}
	return nil, &PathError{path, ErrNoPath}
}

func (k *look) found(ctx context.Context, path string, found stackview.Found, top []fetch.Layer, s *seeker) (*OpenedFile, error) {
	switch {
	case !found.Exists:
		return nil, &PathError{path, ErrNoPath}
	case found.Type == layer.Directory:
		return nil, &PathError{path, ErrDirectory}
	case found.Type != layer.Regular:
		return nil, &PathError{path, ErrNotRegular}
	}
	l := top[found.Layer]
	if k.stored(l.DiffID) {
		content, err := openStored(k.options.Store, l, found.File)
		return &OpenedFile{newFile(found.File), content}, errors.Join(err, s.spool.Close())
	}
	wanted := s.made[found.Layer][found.From]
	if s.held != (held{found.Layer, wanted}) {
		if err := k.again(ctx, l, wanted, s.spool); err != nil {
			return nil, fmt.Errorf("layer %d/%d %s: %w", l.Number, l.Of, l.Name(), err)
		}
	}
	return &OpenedFile{newFile(found.File), s.spool}, s.spool.rewind(found.Size)
}

// openStored opens a file of the store once its content has the sum that was
// recorded when the layer was verified.
func openStored(store *overlaystore.Store, l fetch.Layer, f stackview.File) (_ io.ReadCloser, err error) {
	dir, err := store.OpenLayer(l.DiffID)
	if err != nil {
		return nil, err
	}
	content, err := dir.Open(f.From)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(sum, content)
	if err == nil && (n != f.Size || sum.Sum32() != f.Sum) {
		err = fmt.Errorf("layer %s: %w: %.200q has another content than it was committed with", l.DiffID, overlaystore.ErrDamaged, f.From)
	}
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return content, nil
}

// again fetches a layer once more for one of its files, by its number.
func (k *look) again(ctx context.Context, l fetch.Layer, wanted int, to *spool) error {
	k.client.log.Debug("fetch the layer again for a file that came before what leads to it", "digest", l.Descriptor.Digest)
	k.fetch.Tell(l.Event(LayerMissing))
	return k.fetch.Layer(ctx, l, func(b *fetch.Blob) error {
		to.reset()
		unheard := func(layer.Entry) error { return nil }
		_, err := k.entries(ctx, b, unheard, &nth{wanted: wanted, spool: to})
		return err
	})
}

// nth keeps one file of a layer.
type nth struct {
	wanted, n int
	spool     *spool
}

func (n *nth) begin(*stackview.Layer) {}

func (n *nth) record(layer.Entry) {}

func (n *nth) content(layer.Entry) io.Writer {
	if n.n++; n.n != n.wanted {
		return nil
	}
	n.spool.reset()
	return n.spool
}

// seeker watches layers go by for the file that a path leads to, as far as is
// known: what stands at the end of a layer may lead elsewhere.
type seeker struct {
	path   string
	layers []*stackview.Layer // the topmost first
	// made tells of each layer under which number a name's content came, from 1.
	made  []map[string]int
	spool *spool
	held  held // what is in the spool

	current *stackview.Layer
	way     string // where the file is, by what is known
	n       int
}

// held names a content: the number of a layer from the topmost, and its number
// in there.
type held struct{ layer, n int }

func (s *seeker) begin(l *stackview.Layer) {
	s.current, s.n, s.held = l, 0, held{}
	s.made = append(s.made[:len(s.layers)], map[string]int{})
	s.look()
}

// end says that the layer is whole. One that was not fetched has no contents.
func (s *seeker) end(l *stackview.Layer) {
	s.layers = append(s.layers, l)
	for len(s.made) < len(s.layers) {
		s.made = append(s.made, nil)
	}
}

// look finds out where the file is by now.
func (s *seeker) look() {
	layers := append(slices.Clone(s.layers), s.current)
	if found, err := stackview.Search(s.path, true, false, layers...); err == nil {
		s.way = found.Way
	}
}

func (s *seeker) content(e layer.Entry) io.Writer {
	s.n++
	s.made[len(s.layers)][e.Path] = s.n
	if e.Path != s.way {
		return nil
	}
	s.held = held{len(s.layers), s.n}
	s.spool.reset()
	return s.spool
}

func (s *seeker) record(e layer.Entry) {
	switch e.Type {
	case layer.Hardlink:
		made := s.made[len(s.layers)]
		made[e.Path] = made[e.Linkname]
	case layer.Symlink:
		if e.Path == s.way || strings.HasPrefix(s.way, e.Path+"/") {
			s.look()
		}
	}
}
