// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// file is one file of a layout or an archive, open.
type file struct {
	io.ReadCloser
	size int64
}

// files is the directory of a layout, or an archive. Names are relative and clean, with
// slashes. The error for a file that does not exist matches fs.ErrNotExist.
type files interface {
	open(name string) (file, error)
	close() error
}

// verifyFile returns a reader of f that verifies it. It closes f if the size differs.
func verifyFile(ctx context.Context, f file, desc ocispec.Descriptor, path string) (*content.Reader, error) {
	if f.size != desc.Size {
		return nil, errors.Join(&content.MismatchError{
			Want: desc.Digest, WantSize: desc.Size, GotSize: f.size, Host: path,
		}, f.Close())
	}
	return content.Verify(&interruptible{f, ctx}, desc, path), nil
}

// interruptible is a reader that fails when its context is done.
type interruptible struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // of the call that opened it
}

// Read implements io.Reader.
func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

// directory is a directory with the files of a layout.
type directory string

func (d directory) close() error { return nil }

func (d directory) open(name string) (file, error) {
	f, err := openRegular(filepath.Join(string(d), filepath.FromSlash(name)))
	if err != nil {
		return file{}, err
	}
	st, err := f.Stat()
	if err != nil {
		return file{}, errors.Join(err, f.Close())
	}
	return file{f, st.Size()}, nil
}

// readFile reads a whole file of at most limit bytes.
func readFile(fsys files, name string, limit int64) (raw []byte, err error) {
	f, err := fsys.open(name)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, f)
	if f.size > limit {
		return nil, failure.New(failure.Malformed, "%s has %d bytes, limit %d", name, f.size, limit)
	}
	raw = make([]byte, f.size)
	_, err = io.ReadFull(f, raw)
	return raw, err
}

func closeInto(err *error, c io.Closer) {
	if cerr := c.Close(); *err == nil && cerr != nil {
		*err = cerr
	}
}
