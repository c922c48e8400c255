// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"io"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits on what is read into memory.
const (
	// MaxManifest bounds an index or a manifest, as registries do:
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests
	MaxManifest = 4 << 20
	// MaxConfig bounds an image's config.
	MaxConfig = 8 << 20
)

// origin is one place that images come from. It does not verify what it
// returns, except that root's bytes are those of root's descriptor.
type origin interface {
	// resolve is root without the bytes, where that is cheaper.
	resolve(ctx context.Context) (ocispec.Descriptor, error)
	root(ctx context.Context) (ocispec.Descriptor, []byte, error)
	manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	blob(ctx context.Context, desc ocispec.Descriptor) (*verified, error)
	close() error
}

// Source is one reference, opened. Its methods may be called concurrently.
type Source struct {
	ref    Reference
	origin origin

	mu  sync.Mutex
	top ocispec.Descriptor // what the reference names, once known
	raw []byte             // its bytes, once read
}

// Reference is what was opened.
func (s *Source) Reference() Reference { return s.ref }

// Resolve asks what the reference names: a HEAD request, or none if this
// Source knows it already. The size and the media type are the registry's
// word, and so is the digest that a tag stands for.
func (s *Source) Resolve(ctx context.Context) (ocispec.Descriptor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.top.Digest != "" {
		return s.top, nil
	}
	desc, err := s.origin.resolve(ctx)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolve %s: %w", s.ref, err)
	}
	s.top = desc
	return desc, nil
}

// Root reads what the reference names, an index or a manifest: one GET
// request, or none if this Source read it already. After [Source.Resolve] it
// reads what that returned, wherever the tag has moved since. The bytes are
// exactly the registry's and hash to the descriptor's digest. The caller must
// not change them.
func (s *Source) Root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raw != nil {
		return s.top, s.raw, nil
	}
	desc, raw, err := s.readRoot(ctx)
	if err != nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("read %s: %w", s.ref, err)
	}
	s.top, s.raw = desc, raw
	return desc, raw, nil
}

func (s *Source) readRoot(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	if s.top.Digest == "" {
		return s.origin.root(ctx)
	}
	raw, err := s.origin.manifest(ctx, s.top)
	return s.top, raw, err
}

// Manifest reads an index or a manifest that desc describes, at most
// [MaxManifest] bytes, and verifies it. What [Source.Root] read is not asked
// for again.
func (s *Source) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	s.mu.Lock()
	top, raw := s.top, s.raw
	s.mu.Unlock()
	if raw != nil && desc.Digest == top.Digest && desc.Size == top.Size {
		return raw, nil
	}
	if err := check(desc, MaxManifest); err != nil {
		return nil, fmt.Errorf("read manifest %q: %w", string(desc.Digest), err)
	}
	raw, err := s.origin.manifest(ctx, desc)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", desc.Digest, err)
	}
	return raw, nil
}

// Config reads an image's config, at most [MaxConfig] bytes, and verifies it.
func (s *Source) Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if err := check(desc, MaxConfig); err != nil {
		return nil, fmt.Errorf("read config %q: %w", string(desc.Digest), err)
	}
	raw, err := s.readBlob(ctx, desc)
	if err != nil {
		return nil, fmt.Errorf("read config %s: %w", desc.Digest, err)
	}
	return raw, nil
}

func (s *Source) readBlob(ctx context.Context, desc ocispec.Descriptor) (raw []byte, err error) {
	b, err := s.origin.blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, b)
	return io.ReadAll(b)
}

// Blob streams a blob. The stream returns io.EOF only after desc's size and
// digest held; until then nothing that was read may be believed. Closing it
// early is no error. Reading fails when ctx is done.
func (s *Source) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := check(desc, 0); err != nil {
		return nil, fmt.Errorf("open blob %q: %w", string(desc.Digest), err)
	}
	b, err := s.origin.blob(ctx, desc)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", desc.Digest, err)
	}
	return b, nil
}

// Requests is how many requests [Source.Blob] takes for a blob, if all of them
// are answered with what was asked for and none by a redirect; 0 for layouts
// and archives.
func (s *Source) Requests(desc ocispec.Descriptor) int {
	if r, ok := s.origin.(*remote); ok {
		return r.requests(desc)
	}
	return 0
}

// Traffic says how many bytes of blobs each host has sent so far, in the order
// in which they came in; nothing for layouts and archives. A redirect's target
// counts as the host that redirects.
func (s *Source) Traffic() []Traffic {
	if r, ok := s.origin.(*remote); ok {
		return r.sent.entries()
	}
	return nil
}

// Close releases what the Source holds open. Blobs that are still open may
// fail after it.
func (s *Source) Close() error { return s.origin.close() }

// check refuses a descriptor that cannot be asked for: its digest becomes part
// of a URL or a path.
func check(desc ocispec.Descriptor, limit int64) error {
	if err := validDigest(desc.Digest); err != nil {
		return &failure{ErrMalformed, err}
	}
	if desc.Size < 0 {
		return as(ErrMalformed, "size %d", desc.Size)
	}
	if limit > 0 && desc.Size > limit {
		return as(ErrMalformed, "size %d, limit %d", desc.Size, limit)
	}
	return nil
}

func closeInto(err *error, c io.Closer) {
	if cerr := c.Close(); *err == nil && cerr != nil {
		*err = cerr
	}
}
