// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// stream reads a blob, over as many responses as that takes: whenever a body
// breaks it goes on at the same byte, from whichever host will. The reader
// around it, which holds the digest of what was passed on, decides in the end
// whether that was right.
type stream struct {
	ctx   context.Context //nolint:containedctx // of the call that opened the blob
	r     *remote
	desc  ocispec.Descriptor
	tries *attempts
	// sum is the digest of the first off bytes.
	sum func() digest.Digest

	off       int64
	body      io.ReadCloser // nil between responses
	from      *route
	responses int
	ranges    map[*route]*ranging
}

// ranging is what is known of how a host does ranges of one blob.
type ranging struct {
	etag   string // strong, for If-Range
	fickle bool   // its tag changes though the blob cannot
	broken bool   // it does them wrong
}

func (r *remote) blob(ctx context.Context, desc ocispec.Descriptor) (*verified, error) {
	if err := check(desc, 0); err != nil {
		return nil, err
	}
	s := &stream{
		ctx: ctx, r: r, desc: desc, ranges: map[*route]*ranging{},
		tries: newAttempts(&r.c.o, r.c.o.Logger, r.able(true)),
	}
	v := verify(s, desc, "")
	v.from = func() (string, bool) { return s.from.peer.host, s.responses > 1 }
	s.sum = v.sum
	if err := s.connect(); err != nil {
		return nil, err
	}
	return v, nil
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.body == nil {
			if err := s.connect(); err != nil {
				return 0, err
			}
		}
		n, err := s.body.Read(p)
		if n > 0 {
			s.took(n)
			return n, nil // the error comes again
		}
		if err == nil {
			continue
		}
		// Whatever happens to a connection after the last byte is no loss.
		if err == io.EOF && s.off >= s.desc.Size || s.off == s.desc.Size {
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
	s.off += int64(n)
	s.r.sent.add(s.from.peer.host, int64(n))
	s.tries.progressed()
}

// broke gives the response up.
func (s *stream) broke(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.body.Close()
	s.body = nil
	s.tries.failed(s.from, &failure{ErrNetwork, fmt.Errorf("%s at byte %d of %d: %w", s.from.peer.host, s.off, s.desc.Size, err)})
}

// connect opens a response at the byte where the last one ended.
func (s *stream) connect() error {
	for {
		rt, err := s.tries.next(s.ctx)
		if err != nil {
			return err
		}
		if s.ranges[rt] == nil {
			s.ranges[rt] = &ranging{}
		}
		body, err := s.open(rt)
		if err == nil {
			s.body, s.from = body, rt
			s.responses++
			return nil
		}
		s.tries.failed(rt, err)
	}
}

func (s *stream) open(rt *route) (io.ReadCloser, error) {
	header := http.Header{}
	ranged := s.off > 0 && !s.ranges[rt].broken
	if ranged {
		// The last byte is named, for some servers do not know "from here on".
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", s.off, s.desc.Size-1))
		if tag := s.ranges[rt].etag; tag != "" {
			header.Set("If-Range", tag)
		}
	}
	resp, err := rt.ask(s.ctx, http.MethodGet, "blobs/"+s.desc.Digest.String(), header)
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

// rangeRefused takes a 416 for a server that does not do ranges as we need
// them: the range lies within the blob.
func (s *stream) rangeRefused(rt *route, ranged bool, err error) error {
	var status *StatusError
	if ranged && errors.As(err, &status) && status.Status == http.StatusRequestedRangeNotSatisfiable {
		s.ranges[rt].broken = true
		return as(ErrNetwork, "%w", errors.New(status.Error()))
	}
	return err
}

// accept makes the body one that begins at the byte that is wanted.
func (s *stream) accept(rt *route, resp *http.Response, ranged bool) (io.ReadCloser, error) {
	if ranged && resp.StatusCode == http.StatusPartialContent {
		return s.acceptPart(rt, resp)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, final(fmt.Errorf("status %d, which was not asked for", resp.StatusCode))
	}
	if n := resp.ContentLength; n >= 0 && n != s.desc.Size {
		return nil, &MismatchError{Want: s.desc.Digest, WantSize: s.desc.Size, GotSize: n, Host: rt.peer.host}
	}
	s.ranges[rt].whole(resp.Header.Get("ETag"), ranged)
	if s.off == 0 {
		return resp.Body, nil
	}
	return resp.Body, s.skip(rt, resp.Body)
}

// whole takes note of the tag of an answer that is no part, though one was
// asked for or not. One that changes is of no use in If-Range.
func (g *ranging) whole(tag string, asked bool) {
	if !strings.HasPrefix(tag, `"`) {
		tag = "" // a weak one may not stand in If-Range
	}
	switch {
	case asked && tag != g.etag:
		g.etag, g.fickle = "", true
	case !g.fickle:
		g.etag = tag
	}
}

// acceptPart is strict: one part, which begins where it must, of the same
// whole. What a server does otherwise is no resume; it is not asked again for
// a range of this blob.
func (s *stream) acceptPart(rt *route, resp *http.Response) (io.ReadCloser, error) {
	first, last, total, err := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case err != nil:
	case first != s.off:
		err = fmt.Errorf("asked for byte %d on, got byte %d on", s.off, first)
	case total != s.desc.Size:
		err = fmt.Errorf("part of %d bytes, not %d", total, s.desc.Size)
	case resp.ContentLength >= 0 && resp.ContentLength != last-first+1:
		err = fmt.Errorf("%d bytes for a part of %d", resp.ContentLength, last-first+1)
	}
	if err != nil {
		s.ranges[rt].broken = true
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
		return final(fmt.Errorf("the first %d bytes are others than before: %w", s.off, &MismatchError{
			Want: s.sum(), Got: got, WantSize: s.off, GotSize: s.off, Host: rt.peer.host, Resumed: true,
		}))
	}
	return nil
}

// Close implements io.Closer.
func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}

// part is a body that may bring no more than its Content-Range said.
type part struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (p *part) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.ReadCloser.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	return n, err
}
