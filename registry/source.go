// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/remote"
)

// Limits on what is read into memory.
const (
	// MaxManifest bounds an index or a manifest, as registries do:
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests
	MaxManifest = content.MaxManifest
	// MaxConfig bounds an image's config.
	MaxConfig = content.MaxConfig
)

// origin is a place from which images come: a repository, a layout or an archive. Its
// bytes are those of the descriptors that it is asked for, or that Root returns.
type origin interface {
	// Describe returns Root's descriptor, for less than reading the bytes if possible.
	Describe(ctx context.Context) (ocispec.Descriptor, error)
	Root(ctx context.Context) (ocispec.Descriptor, []byte, error)
	Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	Blob(ctx context.Context, desc ocispec.Descriptor) (*content.Reader, error)
	Close() error
}

// Source reads what one reference names. Its methods may be called concurrently.
type Source struct {
	ref    Reference
	origin origin
	client *Client

	mu  sync.Mutex
	top ocispec.Descriptor // what the reference names, once known
	raw []byte             // its bytes, once read
}

// Reference returns the reference that was opened.
func (s *Source) Reference() Reference { return s.ref }

// Describe asks for the descriptor of what the reference names, by a HEAD request, or
// none if this Source knows it already. Of a registry's answer nothing is verified but
// that the digest is the reference's own, if that has one.
func (s *Source) Describe(ctx context.Context) (ocispec.Descriptor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.top.Digest != "" {
		return s.top, nil
	}
	desc, err := s.from().Describe(ctx)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolve %s: %w", s.ref, err)
	}
	s.top = desc
	return desc, nil
}

// Root reads the index or manifest that the reference names, by one GET request, or
// none if this Source has read it already. After [Source.Describe] it reads what that
// returned, even if the tag has moved since. The bytes are exactly the registry's, and
// their digest is the descriptor's. The caller must not change them.
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
		return s.from().Root(ctx)
	}
	desc := s.top
	if _, claimed := s.from().(*remote.Repository); claimed {
		desc.Size = -1 // the answer to the HEAD may have said a wrong one
	}
	raw, err := s.from().Manifest(ctx, desc)
	desc.Size = int64(len(raw))
	if t := manifest.MediaTypeOf(raw); t != "" {
		desc.MediaType = t
	}
	return desc, raw, err
}

// Manifest reads the index or manifest that desc describes, at most [MaxManifest]
// bytes, and verifies it. There is no request if [Source.Root] has read it, or if the
// descriptor embeds it. The caller must not change the bytes.
func (s *Source) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	s.mu.Lock()
	top, raw := s.top, s.raw
	s.mu.Unlock()
	if raw != nil && desc.Digest == top.Digest && desc.Size == top.Size {
		return raw, nil
	}
	if err := content.Check(desc, MaxManifest); err != nil {
		return nil, about("read manifest", desc, err)
	}
	if embedded(desc) {
		return desc.Data, nil
	}
	raw, err := s.from().Manifest(ctx, desc)
	if err != nil {
		return nil, about("read manifest", desc, err)
	}
	return raw, nil
}

// Config reads an image's config, at most [MaxConfig] bytes, and verifies it. There is
// no request if the descriptor embeds it.
func (s *Source) Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if err := content.Check(desc, MaxConfig); err != nil {
		return nil, about("read config", desc, err)
	}
	if embedded(desc) {
		return desc.Data, nil
	}
	raw, err := s.readBlob(ctx, desc)
	if err != nil {
		return nil, about("read config", desc, err)
	}
	return raw, nil
}

// embedded reports whether the descriptor embeds the bytes that it describes, see
// https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#embedded-content
func embedded(desc ocispec.Descriptor) bool {
	return len(desc.Data) > 0 && int64(len(desc.Data)) == desc.Size && desc.Digest.Algorithm().FromBytes(desc.Data) == desc.Digest
}

// readBlob reads a blob, and once more if it came damaged: hosts that have sent wrong
// bytes are then asked last.
func (s *Source) readBlob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	raw, err := s.readOnce(ctx, desc)
	if errors.Is(err, ErrMismatch) {
		raw, err = s.readOnce(ctx, desc)
	}
	return raw, err
}

func (s *Source) readOnce(ctx context.Context, desc ocispec.Descriptor) (raw []byte, err error) {
	b, err := s.from().Blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, b)
	return io.ReadAll(b)
}

// Blob streams a blob. The stream returns io.EOF only after it has verified size and
// digest; until then the bytes may be wrong. It may be closed earlier. Reading fails when
// ctx is done. There is no request if the descriptor embeds the blob.
//
// If a foreign layer is missing the error is a [*ForeignError]; with [Options.Foreign] its
// urls are asked first.
func (s *Source) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := content.Check(desc, 0); err != nil {
		return nil, about("open blob", desc, err)
	}
	if embedded(desc) {
		return io.NopCloser(bytes.NewReader(desc.Data)), nil
	}
	b, err := s.from().Blob(ctx, desc)
	if err != nil {
		b, err = s.foreign(ctx, desc, err)
	}
	if err != nil {
		return nil, about("open blob", desc, err)
	}
	return b, nil
}

// BlobAfter is [Source.Blob] for a blob whose first n bytes are read from begun; only
// the rest is asked for. If the whole differs from desc, the [*MismatchError] is Resumed:
// the first bytes may be wrong, and a new try from the start may succeed. The error
// matches errors.ErrUnsupported for layouts and archives.
func (s *Source) BlobAfter(ctx context.Context, desc ocispec.Descriptor, begun io.Reader, n int64) (io.ReadCloser, error) {
	r, ok := s.origin.(*remote.Repository)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	b, err := r.BlobAfter(ctx, desc, begun, n)
	if err != nil {
		return nil, about("open blob", desc, err)
	}
	return b, nil
}

// BlobFrom is [Source.Blob] from byte n on. state is the state of the digest after the
// first n bytes. A stream of Blob returns it by its method
// State(b []byte) (state []byte, n int64), which appends the state to b. Errors are those
// of [Source.BlobAfter].
func (s *Source) BlobFrom(ctx context.Context, desc ocispec.Descriptor, state []byte, n int64) (io.ReadCloser, error) {
	r, ok := s.origin.(*remote.Repository)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	b, err := r.BlobFrom(ctx, desc, state, n)
	if err != nil {
		return nil, about("open blob", desc, err)
	}
	return b, nil
}

// Requests returns how many requests [Source.Blob] sends for a blob if none is
// redirected and none fails; 0 for layouts and archives.
func (s *Source) Requests(desc ocispec.Descriptor) int {
	if r, ok := s.origin.(*remote.Repository); ok {
		return r.Requests(desc)
	}
	return 0
}

// Part reads n bytes of a blob from off on, by one request to the registry itself. They
// are not verified and may be wrong. They are kept in memory, so n should be small. The
// error matches errors.ErrUnsupported for layouts and archives.
func (s *Source) Part(ctx context.Context, desc ocispec.Descriptor, off int64, n int) ([]byte, error) {
	r, ok := s.origin.(*remote.Repository)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return r.Part(ctx, desc, off, n)
}

// Traffic returns how many bytes of blobs each host has sent so far, in the order of
// their first bytes; nothing for layouts and archives. The bytes of a host to which
// another one has redirected are counted for the latter.
func (s *Source) Traffic() []Traffic {
	if r, ok := s.origin.(*remote.Repository); ok {
		return r.Traffic()
	}
	return nil
}

// Close closes the Source's files. Blobs that are still open may fail after it.
func (s *Source) Close() error { return s.from().Close() }

// from returns the origin. That of a zero Source refuses everything.
func (s *Source) from() origin {
	if s.origin == nil {
		return unopened{}
	}
	return s.origin
}

// unopened is the origin of a zero Source.
type unopened struct{}

var errUnopened = failure.New(ErrReference, "a source that was not opened")

func (unopened) Describe(context.Context) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errUnopened
}

func (unopened) Root(context.Context) (ocispec.Descriptor, []byte, error) {
	return ocispec.Descriptor{}, nil, errUnopened
}

func (unopened) Manifest(context.Context, ocispec.Descriptor) ([]byte, error) {
	return nil, errUnopened
}

func (unopened) Blob(context.Context, ocispec.Descriptor) (*content.Reader, error) {
	return nil, errUnopened
}

func (unopened) Close() error { return nil }

// about wraps err with what was to be done. It adds the digest only if the error does
// not have it: a line with the same digest twice is hard to read.
func about(verb string, desc ocispec.Descriptor, err error) error {
	if name := string(desc.Digest); name == "" || !strings.Contains(err.Error(), name) {
		return fmt.Errorf("%s %s: %w", verb, failure.OneLine(name), err)
	}
	return fmt.Errorf("%s: %w", verb, err)
}

func closeInto(err *error, c io.Closer) {
	if cerr := c.Close(); *err == nil && cerr != nil {
		*err = cerr
	}
}
