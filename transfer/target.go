// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/registry"
)

// target is a destination that takes single blobs: a repository or a layout.
type target interface {
	// named returns what a tag stands for. The error matches registry.ErrNotFound if
	// there is no such tag.
	named(ctx context.Context, tag string) (ocispec.Descriptor, error)
	// complete reports whether the document is there, and all that it names.
	complete(ctx context.Context, d document) (bool, error)
	has(ctx context.Context, desc ocispec.Descriptor) (bool, error)
	put(ctx context.Context, u registry.Upload) (registry.Outcome, error)
	putManifest(ctx context.Context, desc ocispec.Descriptor, raw []byte, tag string) (subject digest.Digest, err error)
	close() error
}

// repository is a repository of a registry.
type repository struct{ *registry.Destination }

func (r repository) named(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	return r.Describe(ctx, tag)
}

// complete asks for the document only: registries accept a manifest after its blobs.
func (r repository) complete(ctx context.Context, d document) (bool, error) {
	desc, err := r.Describe(ctx, d.desc.Digest.String())
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	return err == nil && desc.Digest == d.desc.Digest, err
}

func (r repository) has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	return r.Has(ctx, desc)
}

func (r repository) put(ctx context.Context, u registry.Upload) (registry.Outcome, error) {
	return r.Put(ctx, u)
}

func (r repository) putManifest(ctx context.Context, desc ocispec.Descriptor, raw []byte, tag string) (digest.Digest, error) {
	return r.PutManifest(ctx, desc, raw, tag)
}

func (repository) close() error { return nil }

// layout is an OCI image layout, which package cache writes.
type layout struct{ *cache.Cache }

// openLayout opens the layout in dir, or makes one that other users can read, too. A dry
// run makes none.
func openLayout(ctx context.Context, dir string, dry bool) (target, error) {
	if _, err := os.Stat(dir); dry && errors.Is(err, os.ErrNotExist) {
		return nowhere{}, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c, err := cache.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	return layout{c}, nil
}

func (l layout) named(_ context.Context, tag string) (ocispec.Descriptor, error) {
	desc, err := l.Lookup(tag)
	if errors.Is(err, cache.ErrMiss) {
		return desc, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	return desc, err
}

func (l layout) complete(_ context.Context, d document) (bool, error) {
	if !l.Has(d.desc) {
		return false, nil
	}
	for _, b := range d.blobs {
		if !l.Has(b.Descriptor) {
			return false, nil
		}
	}
	return true, nil
}

func (l layout) has(_ context.Context, desc ocispec.Descriptor) (bool, error) {
	return l.Has(desc), nil
}

func (l layout) put(ctx context.Context, u registry.Upload) (registry.Outcome, error) {
	if l.Has(u.Descriptor) {
		return registry.Present, nil
	}
	blob, err := u.Open(ctx)
	if err != nil {
		return 0, err
	}
	err = l.Put(ctx, u.Descriptor, &counted{blob, 0, u.Sent})
	// Close repeats the error of a blob that could not be read.
	if closed := blob.Close(); err == nil {
		err = closed
	}
	return registry.Sent, err
}

// counted tells how many bytes were read so far.
type counted struct {
	io.Reader
	n    int64
	tell func(int64)
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	if n > 0 && c.tell != nil {
		c.tell(c.n)
	}
	return n, err
}

func (l layout) putManifest(ctx context.Context, desc ocispec.Descriptor, raw []byte, tag string) (digest.Digest, error) {
	if err := l.Put(ctx, desc, bytes.NewReader(raw)); err != nil {
		return "", err
	}
	switch {
	case tag != "":
		return "", l.Tag(ctx, tag, desc)
	case subjectOf(raw) != "":
		return "", l.Add(ctx, desc)
	}
	return "", nil
}

func (l layout) close() error { return l.Close() }

// nowhere is a layout that does not exist, and that a dry run does not make.
type nowhere struct{}

func (nowhere) named(context.Context, string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, registry.ErrNotFound
}
func (nowhere) complete(context.Context, document) (bool, error)      { return false, nil }
func (nowhere) has(context.Context, ocispec.Descriptor) (bool, error) { return false, nil }
func (nowhere) put(context.Context, registry.Upload) (registry.Outcome, error) {
	return 0, errors.ErrUnsupported
}
func (nowhere) putManifest(context.Context, ocispec.Descriptor, []byte, string) (digest.Digest, error) {
	return "", errors.ErrUnsupported
}
func (nowhere) close() error { return nil }
