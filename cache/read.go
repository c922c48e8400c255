// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Has reports whether the cache has a file of the blob's size. It does not verify it.
func (c *Cache) Has(desc ocispec.Descriptor) bool {
	f, err := c.open(desc)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// Find returns the descriptor of a blob, without a media type. The error is [ErrMiss] if the
// blob is missing.
func (c *Cache) Find(d digest.Digest) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{Digest: d}
	dir, name, err := c.place(desc)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	st, err := os.Lstat(filepath.Join(dir.Name(), name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ocispec.Descriptor{}, fmt.Errorf("blob %s: %w", d, ErrMiss)
	case err != nil:
		return ocispec.Descriptor{}, err
	}
	desc.Size = st.Size()
	return desc, nil
}

// Blob opens a blob. The error is [ErrMiss] if it is missing. The stream returns io.EOF only
// after it has verified the blob; if this is damaged, reading ends with [ErrMiss], and the
// file is removed, so that the next try misses it.
func (c *Cache) Blob(desc ocispec.Descriptor) (io.ReadCloser, error) {
	f, err := c.open(desc)
	if err != nil {
		return nil, err
	}
	return &reader{File: f, c: c, want: desc, hash: desc.Digest.Algorithm().Hash()}, nil
}

// Bytes reads and verifies a whole blob of at most limit bytes. Errors are those of
// [Cache.Blob].
func (c *Cache) Bytes(desc ocispec.Descriptor, limit int64) (_ []byte, err error) {
	if desc.Size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, limit %d", desc.Digest, desc.Size, limit)
	}
	b, err := c.Blob(desc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return io.ReadAll(b)
}

func (c *Cache) open(desc ocispec.Descriptor) (*os.File, error) {
	dir, name, err := c.place(desc)
	if err != nil {
		return nil, err
	}
	f, err := fsat.OpenFile(dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, ErrMiss)
	case errors.Is(err, fsat.ErrNotRegular):
		return nil, fmt.Errorf("blob %s, damaged: %w", desc.Digest, ErrMiss)
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && st.Size() != desc.Size {
		err = fmt.Errorf("blob %s, damaged: %w", desc.Digest, ErrMiss)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// reader returns io.EOF only after it has verified the digest.
type reader struct {
	*os.File
	c    *Cache
	want ocispec.Descriptor
	hash hash.Hash
	err  error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.File.Read(p)
	r.hash.Write(p[:n])
	if err == io.EOF {
		err = r.verdict()
	}
	r.err = err
	return n, err
}

// WriteTo implements io.WriterTo, in place of that of os.File, which would not hash.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

// verdict returns io.EOF if the digest is right. Otherwise it removes the blob.
func (r *reader) verdict() error {
	if digest.NewDigest(r.want.Digest.Algorithm(), r.hash) == r.want.Digest {
		return io.EOF
	}
	return errors.Join(fmt.Errorf("blob %s, damaged: %w", r.want.Digest, ErrMiss), r.c.remove(context.Background(), r.want))
}

// Remove removes a blob, if it exists.
func (c *Cache) Remove(ctx context.Context, desc ocispec.Descriptor) error {
	return c.remove(ctx, desc)
}

func (c *Cache) remove(ctx context.Context, desc ocispec.Descriptor) error {
	dir, name, err := c.place(desc)
	if err != nil {
		return err
	}
	if err := durable.Remove(ctx, dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Part opens n bytes of a blob from off on. They are not verified: only a reader of the
// whole blob can do that.
func (c *Cache) Part(desc ocispec.Descriptor, off, n int64) (io.ReadCloser, error) {
	f, err := c.open(desc)
	if err != nil {
		return nil, err
	}
	return part{io.NewSectionReader(f, off, n), f}, nil
}

type part struct {
	io.Reader
	io.Closer
}
