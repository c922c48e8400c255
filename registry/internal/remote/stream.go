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

// stream reads a blob, or one chunk of it, over as many responses as that
// takes: whenever a body breaks it goes on at the same byte, from whichever
// host will. The reader around it, which holds the digest of what was passed
// on, decides in the end whether that was right.
type stream struct {
	ctx    context.Context //nolint:containedctx // of the call that opened the blob
	cancel context.CancelFunc
	r      *Repository
	desc   ocispec.Descriptor
	tries  *attempts
	known  *rangings
	// sum is the digest of the first off bytes. A chunk has none.
	sum func() digest.Digest
	// chunk says that only a range will do: what is in front of it is not
	// known. The head, which is opened before there are other chunks, becomes
	// the whole blob where that is what comes.
	chunk, head bool

	waited    time.Duration // for the next bytes
	off, end  int64
	body      io.ReadCloser // nil between responses
	from      *route
	began     int64 // where the response begins
	responses int
}

// errNoRanges says that a host sends the whole blob only.
var errNoRanges = errors.New("it sends no parts of the blob")

// Blob opens a blob.
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
		v.Attach(c, r.noted(c.from))
	} else {
		v.Attach(s, r.noted(s.sender))
	}
	return v, nil
}

// BlobAfter is [Repository.Blob] for a blob of which the first n bytes are known,
// or not yet known to be wrong: they come from begun. The rest is asked for only
// then, by one stream; a host that sends no parts has the known bytes compared.
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
	v.Attach(body, r.noted(func() content.Sender {
		from := s.sender()
		from.Resumed = true
		return from
	}))
	return v, nil
}

// BlobFrom is [Repository.Blob] from byte n on, for a blob of which state is the
// state of the digest of what comes before: see [content.Reader.State].
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
	v.Attach(s, r.noted(func() content.Sender {
		from := s.sender()
		from.Resumed = true
		return from
	}))
	return v, nil
}

// noted remembers who sent bytes that are not a digest's, when a reader asks from
// for it.
func (r *Repository) noted(from func() content.Sender) func() content.Sender {
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

// sender is who sent the last bytes.
func (s *stream) sender() content.Sender {
	if s.from == nil {
		return content.Sender{}
	}
	return content.Sender{Host: s.from.peer.host, Resumed: s.responses > 1}
}

// stream is one of the whole blob, not connected yet.
func (r *Repository) stream(ctx context.Context, desc ocispec.Descriptor, known *rangings) *stream {
	ctx, cancel := context.WithCancel(ctx)
	return &stream{
		ctx: ctx, cancel: cancel, r: r, desc: desc, known: known, end: desc.Size,
		tries: newAttempts(&r.c.o, r.c.o.Logger, r.able(true)),
	}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.body == nil && s.off >= s.end && s.responses == 0 {
			return 0, io.EOF // all of it is known
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
			return n, nil // the error comes again
		}
		if err == nil {
			continue
		}
		// Whatever happens to a connection after the last byte is no loss.
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

func (s *stream) took(n int) {
	s.tries.progressed(n, s.waited)
	s.waited = 0
	s.off += int64(n)
	s.r.sent.add(s.from.peer.host, int64(n))
}

// broke gives the response up.
func (s *stream) broke(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.body.Close()
	s.body = nil
	why := failure.Mark(failure.Network, fmt.Errorf("%s at byte %d of %d: %w", s.from.peer.host, s.off, s.desc.Size, err))
	s.tries.broke(s.from, why, s.off-s.began)
}

// connect opens a response at the byte where the last one ended.
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
		// Whoever sends no parts may well send the rest.
		if s.chunk && s.tries.roundOver() && s.tries.saw(errNoRanges) {
			return fmt.Errorf("%s: %w", rt.peer.host, errNoRanges)
		}
	}
}

func (s *stream) open(rt *route) (io.ReadCloser, error) {
	etag, broken := s.known.ask(rt)
	if broken && s.chunk && !s.head {
		return nil, failure.Final(errNoRanges)
	}
	q := question{method: http.MethodGet, path: "blobs/" + s.desc.Digest.String(), header: http.Header{}, alone: s.chunk}
	ranged := (s.chunk || s.off > 0) && !broken
	if ranged {
		// The last byte is named, for some servers do not know "from here on".
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

// rangeRefused takes what a server says to a range, and would perhaps not say
// to the whole, for one that does no ranges: they are a courtesy. A range lies
// within the blob, so that 416 is no better.
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

// accept makes the body one that begins at the byte that is wanted.
func (s *stream) accept(rt *route, resp *http.Response, ranged bool) (io.ReadCloser, error) {
	if ranged && resp.StatusCode == http.StatusPartialContent {
		return s.acceptPart(rt, resp)
	}
	// 203 is what a proxy has had in its hands; the digest tells what it is.
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNonAuthoritativeInfo {
		return nil, failure.Final(fmt.Errorf("status %d, which was not asked for", resp.StatusCode))
	}
	body, decoded, err := plainBody(resp, s.desc)
	if err != nil {
		return nil, failure.Final(err)
	}
	if decoded {
		s.known.wrong(rt) // parts would be of what is encoded
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

// acceptPart is strict: one part, which begins where it must and goes no
// further, of the same whole. What a server does otherwise is no resume; it is
// not asked again for a range of this blob.
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

// skip reads again what was passed on already, and compares.
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
