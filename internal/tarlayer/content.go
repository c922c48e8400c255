// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/layerctl/layerctl/internal/erofs"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/layer"
)

// extents are where the content of a regular file is in its layer's file.
func extents(e *layer.Entry) []erofs.Extent {
	switch {
	case e.At == 0 || e.Size == 0:
		return nil
	case e.Fragments == nil:
		return []erofs.Extent{{Size: e.Size, At: headSize + e.At}}
	}
	list, at := make([]erofs.Extent, 0, len(e.Fragments)), headSize+e.At
	for _, f := range e.Fragments {
		list = append(list, erofs.Extent{Offset: f.Offset, Size: f.Size, At: at})
		at += f.Size
	}
	return list
}

// Content is the content of one regular file of a layer.
type Content struct {
	f       *os.File
	extents []erofs.Extent
	size    int64
	at      int64
}

// Open opens the content of a regular file in a layer's directory, as its entry
// in the journal says where it is.
func Open(dir *os.File, e layer.Entry) (*Content, error) {
	if e.Type != layer.Regular {
		return nil, fmt.Errorf("%w: %.200q is no regular file", journal.ErrDamaged, e.Path)
	}
	f, err := fsat.OpenFile(dir, fileName)
	if err != nil {
		return nil, err
	}
	return &Content{f: f, extents: extents(&e), size: e.Size}, nil
}

// Read implements io.Reader.
func (c *Content) Read(p []byte) (int, error) {
	if c.at >= c.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.size-c.at)]
	for _, e := range c.extents {
		if c.at >= e.Offset+e.Size {
			continue
		}
		if c.at < e.Offset {
			p = p[:min(int64(len(p)), e.Offset-c.at)]
			break
		}
		p = p[:min(int64(len(p)), e.Offset+e.Size-c.at)]
		n, err := c.f.ReadAt(p, e.At+c.at-e.Offset)
		c.at += int64(n)
		return n, short(err)
	}
	clear(p)
	c.at += int64(len(p))
	return len(p), nil
}

// short is for a layer's file that ends before what its journal says.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s is cut short", journal.ErrDamaged, fileName)
	}
	return err
}

// WriteTo implements io.WriterTo: what is one piece the kernel copies between
// two files.
func (c *Content) WriteTo(w io.Writer) (int64, error) {
	if len(c.extents) != 1 || c.extents[0].Size != c.size {
		return io.Copy(w, struct{ io.Reader }{c})
	}
	if _, err := c.f.Seek(c.extents[0].At+c.at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.Copy(w, io.LimitReader(c.f, c.size-c.at))
	c.at += n
	if err == nil && c.at < c.size {
		err = short(io.EOF)
	}
	return n, err
}

// Seek implements io.Seeker.
func (c *Content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	c.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (c *Content) Close() error { return c.f.Close() }

// OpenTar opens the tar, of size bytes, in a layer's directory.
func OpenTar(dir *os.File, size int64) (io.ReadCloser, error) {
	f, err := fsat.OpenFile(dir, fileName)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, headSize, size), f}, nil
}
