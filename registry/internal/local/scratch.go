// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/scratch"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

const (
	// startSize is how many first bytes tell a tar and all compressions.
	startSize = 512
	// ratioFloor is the size up to which MaxRatio does not apply: an archive of few
	// zeros is no bomb.
	ratioFloor = 1 << 30
	// spaceBytes is how many bytes are written between two checks of the free space.
	spaceBytes = 8 << 20
)

// copyArchive writes the tar in a stream, which may be compressed, to a file without a
// name. path is for errors.
func copyArchive(ctx context.Context, r io.Reader, path string, o Options) (*os.File, error) {
	in := &counting{Reader: &interruptible{io.NopCloser(r), ctx}}
	from, c, err := decompress(in, o)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	f, err := scratch.Open(o.TempDir)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", path, err)
	}
	w := &bounded{done: ctx.Err, file: f, in: in, o: o, unchecked: spaceBytes}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{from}, make([]byte, 256<<10))
	switch {
	case err == nil:
		return f, nil
	case w.err != nil:
		err = w.err
	case in.err != nil:
		err = fmt.Errorf("read %s: %w", path, in.err)
	case c != nil:
		err = c.damage(err, o.MaxWindow)
	}
	return nil, errors.Join(err, f.Close())
}

// decompress returns a reader of the tar in a stream. c is nil if the stream is not
// compressed.
func decompress(in *counting, o Options) (_ io.ReadCloser, c *compression, err error) {
	b := bufio.NewReaderSize(in, 64<<10)
	start, _ := b.Peek(startSize) // the next read returns the error again
	if c = compressionOf(start); c == nil {
		return io.NopCloser(b), nil, nil
	}
	z, err := c.open(b, o.MaxWindow)
	if err != nil && in.err != nil {
		return nil, nil, in.err
	}
	if err != nil {
		return nil, nil, c.damage(err, o.MaxWindow)
	}
	tar := bufio.NewReaderSize(z, startSize)
	if start, _ = tar.Peek(startSize); compressionOf(start) != nil {
		return nil, nil, errors.Join(failure.New(failure.Malformed, "the archive is compressed twice, with %s and in that with %s: decompress it once",
			c.name, compressionOf(start).name), z.Close())
	}
	return readCloser{tar, z}, c, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// counting counts the bytes that are read, and keeps the reader's own error, for what a
// decompressor makes of that may look like damage.
type counting struct {
	io.Reader
	n   int64
	err error
}

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// bounded writes to a file as long as the limits and the free space allow.
type bounded struct {
	done      func() error // the context's error: few bytes of input may become many
	file      *os.File
	in        *counting
	o         Options
	n         int64 // how many bytes were written
	unchecked int64 // how many of them since the last check of the free space
	err       error // why Write failed
}

// Write implements io.Writer.
func (w *bounded) Write(p []byte) (int, error) {
	if w.err = w.done(); w.err == nil {
		w.err = w.check(int64(len(p)))
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.file.Write(p)
	w.n += int64(n)
	w.err = err
	return n, err
}

// check refuses to write n more bytes if a limit forbids it.
func (w *bounded) check(n int64) error {
	total := w.n + n
	switch {
	case total > w.o.MaxSize:
		return failure.New(failure.Malformed, "the archive has more than the %d bytes that are allowed", w.o.MaxSize)
	case total > ratioFloor && total/w.o.MaxRatio > w.in.n:
		return failure.New(failure.Malformed, "the archive grows to more than %d times its size", w.o.MaxRatio)
	}
	w.unchecked += n
	if w.unchecked < spaceBytes {
		return nil
	}
	w.unchecked = 0
	free, err := scratch.Free(w.file)
	if err != nil {
		return err
	}
	if free-w.o.Reserve < max(n, spaceBytes) && w.o.Reserve > 0 || free < n {
		return errkind.With(errkind.Filesystem, fmt.Errorf("unpack the archive into %s: only %d bytes are free there, and %d are kept in reserve",
			w.o.TempDir, free, w.o.Reserve))
	}
	return nil
}
