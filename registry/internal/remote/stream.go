// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// stream reads a blob, or one chunk of it, from as many responses as that takes:
// when one breaks off it goes on at the same byte, from any host that answers. It does
// not verify the bytes: the [content.Reader] around it does.
type stream struct {
	ctx    context.Context //nolint:containedctx // of the call that opened the blob
	cancel context.CancelFunc
	r      *Repository
	desc   ocispec.Descriptor
	tries  *attempts
	known  *rangings
	// sum returns the digest of the first off bytes. A chunk has none.
	sum func() digest.Digest
	// chunk says that the stream needs ranges. head says that it is that of the first
	// chunk and not connected yet: if the whole blob comes it reads all of that.
	chunk, head bool

	waited    time.Duration // how long the next bytes have been waited for
	off, end  int64         // the next byte, and the byte after the last one
	body      io.ReadCloser // nil between responses
	from      *route        // the route of the last response
	began     int64         // the first byte of the last response
	responses int           // how many responses there were
}

// errNoRanges says that a host sends only whole blobs.
var errNoRanges = errors.New("it sends no parts of the blob")

// Blob opens a blob. It returns when a host has begun to answer.
func (r *Repository) Blob(ctx context.Context, desc ocispec.Descriptor) (*content.Reader, error) {
	if err := content.Check(desc, 0); err != nil {
		return nil, err
	}
	v := content.VerifyLater(desc)
	s := r.stream(ctx, desc, newRangings())
	s.sum = v.Sum
	if r.inChunks(desc) {
		s.chunk, s.head, s.end = true, true, r.c.o.Chunk
	}
	if err := s.connect(); err != nil {
		s.cancel()
		return nil, err
	}
	if s.chunk {
		c := startChunks(ctx, s)
		v.Attach(c, r.blaming(c.from))
	} else {
		v.Attach(s, r.blaming(s.sender))
	}
	return v, nil
}

// BlobAfter is [Repository.Blob] for a blob whose first n bytes are already here, not
// yet verified: they are read from begun. The rest is asked for when they have been
// read. From a host that sends no ranges the first n bytes come again and are compared.
func (r *Repository) BlobAfter(ctx context.Context, desc ocispec.Descriptor, begun io.Reader, n int64) (*content.Reader, error) {
	if err := content.Check(desc, 0); err != nil {
		return nil, err
	}
	v := content.VerifyLater(desc)
	s := r.stream(ctx, desc, newRangings())
	s.sum, s.off = v.Sum, n
	body := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(begun, n), s), s}
	v.Attach(body, r.blaming(s.resumed))
	return v, nil
}

// BlobFrom is [Repository.Blob] from byte n on. state is the state of the digest after
// the first n bytes, from [content.Reader.State].
func (r *Repository) BlobFrom(ctx context.Context, desc ocispec.Descriptor, state []byte, n int64) (*content.Reader, error) {
	if err := content.Check(desc, 0); err != nil {
		return nil, err
	}
	v := content.VerifyLater(desc)
	if err := v.Resume(state, n); err != nil {
		return nil, err
	}
	s := r.stream(ctx, desc, newRangings())
	s.sum, s.off = v.Sum, n
	v.Attach(s, r.blaming(s.resumed))
	return v, nil
}

// blaming returns a function that calls from, as the reader of a blob does when the
// bytes are wrong, and remembers the host that sent them.
func (r *Repository) blaming(from func() content.Sender) func() content.Sender {
	return func() content.Sender {
		f := from()
		if f.Host == "" {
			return f
		}
		r.lied.Store(f.Host, true)
		f.Others = slices.ContainsFunc(r.routes, func(rt *route) bool {
			_, lied := r.lied.Load(rt.peer.host)
			return rt.pull && !lied
		})
		return f
	}
}

// sender returns who sent the last bytes.
func (s *stream) sender() content.Sender {
	if s.from == nil {
		return content.Sender{}
	}
	return content.Sender{Host: s.from.peer.host, Resumed: s.responses > 1}
}

// resumed is sender for a blob whose first bytes came before this stream.
func (s *stream) resumed() content.Sender {
	from := s.sender()
	from.Resumed = true
	return from
}

// stream returns a stream of the whole blob, not connected yet.
func (r *Repository) stream(ctx context.Context, desc ocispec.Descriptor, known *rangings) *stream {
	ctx, cancel := context.WithCancel(ctx)
	return &stream{
		ctx: ctx, cancel: cancel, r: r, desc: desc, known: known, end: desc.Size,
		tries: newAttempts(&r.c.o, r.routesFor(true)),
	}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.body == nil && s.off >= s.end && s.responses == 0 {
			return 0, io.EOF // BlobAfter or BlobFrom has had all bytes
		}
		if s.body == nil {
			if err := s.connect(); err != nil {
				return 0, err
			}
		}
		start := time.Now()
		n, err := s.body.Read(p)
		s.waited += time.Since(start)
		if n > 0 {
			s.took(n)
			return n, nil // the next Read returns the error again
		}
		if err == nil {
			continue
		}
		// An error after the last byte does not matter.
		if s.off >= s.end {
			s.from.peer.mark(true)
			return 0, io.EOF
		}
		if err := s.ctx.Err(); err != nil {
			return 0, err
		}
		s.broke(err)
	}
}

// took counts bytes that came.
func (s *stream) took(n int) {
	s.tries.progressed(n, s.waited)
	s.waited = 0
	s.off += int64(n)
	s.r.sent.add(s.from.peer.host, int64(n))
}

// broke closes a response that broke off.
func (s *stream) broke(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.body.Close()
	s.body = nil
	why := failure.Mark(failure.Network, fmt.Errorf("%s at byte %d of %d: %w", s.from.peer.host, s.off, s.desc.Size, err))
	s.tries.broke(s.from, why, s.off-s.began)
}

// connect opens a response at byte off.
func (s *stream) connect() error {
	start := time.Now()
	defer func() { s.waited += time.Since(start) }()
	for {
		rt, err := s.tries.next(s.ctx)
		if err != nil {
			return err
		}
		body, err := s.open(rt)
		if err == nil {
			s.body, s.from, s.head, s.began = body, rt, false, s.off
			s.responses++
			return nil
		}
		s.tries.failed(rt, err)
		// If all hosts failed and one sends whole blobs, that one can send the blob.
		if s.chunk && s.tries.roundOver() && s.tries.saw(errNoRanges) {
			return fmt.Errorf("%s: %w", rt.peer.host, errNoRanges)
		}
	}
}

// open asks one host for what is left, as a range where that is needed.
func (s *stream) open(rt *route) (io.ReadCloser, error) {
	etag, broken := s.known.ask(rt)
	if broken && s.chunk && !s.head {
		return nil, failure.Final(errNoRanges)
	}
	q := question{method: http.MethodGet, path: "blobs/" + s.desc.Digest.String(), header: http.Header{}, alone: s.chunk}
	ranged := (s.chunk || s.off > 0) && !broken
	if ranged {
		// Some servers do not support a range without its last byte.
		q.header.Set("Range", fmt.Sprintf("bytes=%d-%d", s.off, s.end-1))
		if etag != "" {
			q.header.Set("If-Range", etag)
		}
	}
	resp, err := rt.send(s.ctx, q)
	if err != nil {
		return nil, s.rangeRefused(rt, ranged, err)
	}
	body, err := s.accept(rt, resp, ranged)
	if err != nil {
		resp.Body.Close()
		return nil, bodyError(s.ctx, resp, err)
	}
	return body, nil
}

// rangeRefused makes an error that may be retried of a status which a server perhaps
// sends only because of the range, and has the next request be one for the whole blob.
// That includes 416, for the range lies within the blob.
func (s *stream) rangeRefused(rt *route, ranged bool, err error) error {
	var status *transport.StatusError
	if !ranged || !errors.As(err, &status) {
		return err
	}
	switch status.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		s.known.wrong(rt)
		return failure.New(failure.Network, "%w", errors.New(status.Error()))
	case http.StatusInternalServerError:
		s.known.failed(rt)
	}
	return err
}

// accept returns the body of an answer, which begins at byte off. It reads and
// compares the bytes before that, if they come.
func (s *stream) accept(rt *route, resp *http.Response, ranged bool) (io.ReadCloser, error) {
	if ranged && resp.StatusCode == http.StatusPartialContent {
		return s.acceptPart(rt, resp)
	}
	// 203 says that a proxy may have changed the blob; the digest will tell.
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNonAuthoritativeInfo {
		return nil, failure.Final(fmt.Errorf("status %d, which was not asked for", resp.StatusCode))
	}
	body, decoded, err := plainBody(resp, s.desc)
	if err != nil {
		return nil, failure.Final(err)
	}
	if decoded {
		s.known.wrong(rt) // ranges would be of the encoded bytes
	}
	if n := resp.ContentLength; n >= 0 && n != s.desc.Size && !decoded {
		return nil, &content.MismatchError{Want: s.desc.Digest, WantSize: s.desc.Size, GotSize: n, Host: rt.peer.host}
	}
	s.known.whole(rt, resp.Header.Get("ETag"), ranged)
	switch {
	case s.chunk && !s.head:
		return nil, failure.Final(errNoRanges)
	case s.off == 0:
		s.chunk, s.end = false, s.desc.Size
		return body, nil
	}
	return body, s.skip(rt, body)
}

// acceptPart returns the body of a 206 answer. That must be one range which begins at
// byte off, ends where it was asked to or earlier, and is of a blob of the same size and
// ETag. A server that answers otherwise is asked for no more ranges of this blob.
func (s *stream) acceptPart(rt *route, resp *http.Response) (io.ReadCloser, error) {
	first, last, total, err := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case err != nil:
	case first != s.off:
		err = fmt.Errorf("asked for byte %d on, got byte %d on", s.off, first)
	case total != s.desc.Size:
		err = fmt.Errorf("part of %d bytes, not %d", total, s.desc.Size)
	case last >= s.end:
		err = fmt.Errorf("asked for up to byte %d, got up to byte %d", s.end-1, last)
	case resp.ContentLength >= 0 && resp.ContentLength != last-first+1:
		err = fmt.Errorf("%d bytes for a part of %d", resp.ContentLength, last-first+1)
	default:
		err = s.known.part(rt, resp.Header.Get("ETag"))
	}
	if err != nil {
		s.known.wrong(rt)
		return nil, err
	}
	return &part{resp.Body, last - first + 1}, nil
}

// skip reads the off bytes that were passed on already, and compares their digest.
func (s *stream) skip(rt *route, body io.Reader) error {
	h := s.desc.Digest.Algorithm().Hash()
	n, err := io.CopyN(h, body, s.off)
	s.r.sent.add(rt.peer.host, n)
	if err != nil {
		return fmt.Errorf("at byte %d of %d that are known: %w", n, s.off, err)
	}
	if got := digest.NewDigest(s.desc.Digest.Algorithm(), h); got != s.sum() {
		return failure.Final(fmt.Errorf("the first %d bytes are others than before: %w", s.off, &content.MismatchError{
			Want: s.sum(), Got: got, WantSize: s.off, GotSize: s.off, Host: rt.peer.host, Resumed: true,
		}))
	}
	return nil
}

// Close implements io.Closer.
func (s *stream) Close() error {
	defer s.cancel()
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}
