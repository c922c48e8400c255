// SPDX-License-Identifier: Apache-2.0

package pushing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/remote"
)

const (
	// whole is the largest blob that is sent with the request that ends its
	// upload: one request less, and not too much to send again.
	whole = 1 << 20
	// leastChunk is the smallest piece that is tried where a registry keeps
	// nothing of what it was cut off in.
	leastChunk = 64 << 10
	// worthIt is how many bytes that were taken show that trying has a use.
	worthIt = 16 << 10
)

// Blob is what is sent.
type Blob struct {
	Descriptor ocispec.Descriptor
	// Open opens it; it may be called again where the registry has lost what it
	// had taken.
	Open Open
	// From is another repository of the same registry that may have it; "" for
	// none that is known.
	From string
	// Sent hears how many of its bytes were sent, from any goroutine; nil does
	// not.
	Sent func(offset int64)
}

// Outcome is what became of a blob.
type Outcome int

// The outcomes.
const (
	Sent    Outcome = iota + 1
	There           // the repository had it
	Mounted         // the registry had it in the other repository
)

// Put has the repository hold a blob.
func (r *Repository) Put(ctx context.Context, b Blob) (Outcome, error) {
	if err := content.Check(b.Descriptor, 0); err != nil {
		return 0, err
	}
	has, err := r.Has(ctx, b.Descriptor)
	if has || err != nil {
		return There, err
	}
	u := &upload{r: r, desc: b.Descriptor, feed: newFeed(ctx, b.Open, b.Descriptor.Size, b.Sent)}
	done, err := u.begin(ctx, b.From)
	if err == nil && done == 0 {
		err = r.w.Try(ctx, func(progressed func(int)) error { return refused(u.send(ctx, progressed), "") })
		done = Sent
	}
	if cerr := u.feed.Close(); err == nil {
		err = cerr
	}
	// What cannot be read is the source's affair, and its own words say more.
	if failed := u.feed.failed(); failed != nil && err != nil {
		err = failed
	}
	return done, err
}

// upload is one blob on its way.
type upload struct {
	r    *Repository
	desc ocispec.Descriptor
	feed *feed

	at    *url.URL // where it goes on; nil where it has to begin
	off   int64    // how much the registry has
	best  int64    // the most that it ever had: what is lost again is no progress
	asks  bool     // the registry is to be asked how much it has
	done  bool     // it has the blob
	chunk int64    // the most that one request has; 0 is all that is left
	least int64    // the least that the registry takes in one request
}

// begin has the blob mounted, or begins its upload where that may not be.
func (u *upload) begin(ctx context.Context, from string) (Outcome, error) {
	if from == "" {
		return 0, nil // send begins
	}
	var done Outcome
	err := u.r.w.Try(ctx, func(func(int)) error {
		resp, err := u.r.w.Send(ctx, remote.Sending{
			Method: http.MethodPost, Path: "blobs/uploads/",
			Query: url.Values{"mount": {u.desc.Digest.String()}, "from": {from}},
		})
		if err != nil {
			return err
		}
		remote.Drain(resp)
		if resp.StatusCode == http.StatusCreated {
			done = Mounted
			return nil
		}
		return u.opened(resp)
	})
	if err != nil && !remote.Retryable(err) && ctx.Err() == nil {
		return 0, nil // it is asked without the other repository
	}
	return done, err
}

// opened takes note of an upload that the registry has opened.
func (u *upload) opened(resp *http.Response) error {
	at, err := u.r.w.Location(resp)
	if err != nil {
		return err
	}
	u.at, u.off, u.asks = at, 0, false
	if n, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil && n > 0 {
		u.least = min(n, 1<<30)
	}
	return nil
}

// send sends what is left, from wherever the last try has come to.
func (u *upload) send(ctx context.Context, progressed func(int)) error {
	if u.asks {
		if err := u.ask(ctx, progressed); u.done || err != nil {
			return err
		}
	}
	if u.at == nil {
		resp, err := u.r.w.Send(ctx, remote.Sending{Method: http.MethodPost, Path: "blobs/uploads/"})
		if err != nil {
			return err
		}
		remote.Drain(resp)
		if err := u.opened(resp); err != nil {
			return err
		}
	}
	if u.off == 0 && u.desc.Size <= whole && u.chunk == 0 {
		return u.finish(ctx, u.desc.Size)
	}
	for u.off < u.desc.Size {
		if err := u.patch(ctx, progressed); err != nil && !u.gained(ctx, progressed) {
			return err
		}
		if u.done {
			return nil
		}
	}
	return u.finish(ctx, 0)
}

// gained says that the registry has taken much of what broke: then it goes on
// at once.
func (u *upload) gained(ctx context.Context, progressed func(int)) bool {
	had := u.off
	if !u.asks || u.ask(ctx, progressed) != nil {
		return false
	}
	return u.done || u.at != nil && u.off-had >= worthIt
}

// broke decides how the upload goes on after an error.
func (u *upload) broke(err error) error {
	var source *sourceError
	switch status := remote.Status(err); {
	case errors.As(err, &source):
		return failure.Final(err)
	case status == http.StatusRequestedRangeNotSatisfiable:
		u.asks = true // it has more or less than we thought
		return failure.Mark(failure.Network, errors.New(err.Error()))
	case status == http.StatusNotFound, status == http.StatusBadRequest && u.off > 0:
		u.at = nil // it has forgotten the upload, or does not take the rest
		return failure.Mark(failure.Network, errors.New(err.Error()))
	case remote.Retryable(err):
		u.asks = true
	}
	return err
}

// patch sends the next piece.
func (u *upload) patch(ctx context.Context, progressed func(int)) error {
	n := u.desc.Size - u.off
	if u.chunk > 0 {
		n = min(n, max(u.chunk, u.least))
	}
	h := http.Header{"Content-Type": {"application/octet-stream"}}
	if u.off > 0 || n < u.desc.Size {
		h.Set("Content-Range", fmt.Sprintf("%d-%d", u.off, u.off+n-1))
	}
	if u.chunk > 0 && u.chunk < window {
		// Where connections last for so many bytes only, each chunk gets its own:
		// one that is cut off may end the upload.
		h.Set("Connection", "close")
	}
	off := u.off
	resp, err := u.r.w.Send(ctx, remote.Sending{
		Method: http.MethodPatch, At: u.at, Header: h, Size: n,
		Body: func() (io.ReadCloser, error) { return u.feed.piece(off, n) },
	})
	if err != nil {
		return u.broke(err)
	}
	remote.Drain(resp)
	if err := u.took(resp, off+n); err != nil {
		return u.broke(err)
	}
	u.progress(progressed)
	return nil
}

// progress tells that the registry has more than ever.
func (u *upload) progress(progressed func(int)) {
	if gained := u.off - u.best; gained >= worthIt || gained > 0 && u.off == u.desc.Size {
		u.best = u.off
		progressed(int(gained))
	}
}

// took takes note of how much the registry has now; expect is what it should
// have where it does not say.
func (u *upload) took(resp *http.Response, expect int64) error {
	at, err := u.r.w.Location(resp)
	if err != nil {
		return err
	}
	has, said := rangeEnd(resp.Header.Get("Range"))
	if !said {
		has = expect
	}
	if has > u.desc.Size || has > expect && expect >= 0 || has < 0 {
		u.at = nil
		return failure.New(failure.Network, "%s %s: the registry has %d bytes of the upload, and was sent %d",
			resp.Request.Method, resp.Request.URL.Host, has, max(expect, u.off))
	}
	u.at, u.off = at, has
	return nil
}

// ask asks how much the registry has of the upload, after a break.
func (u *upload) ask(ctx context.Context, progressed func(int)) (err error) {
	if u.done, err = u.r.has(ctx, u.desc); u.done || err != nil {
		return err
	}
	if u.asks = u.at != nil; !u.asks {
		return nil
	}
	had := u.off
	resp, err := u.r.w.Send(ctx, remote.Sending{Method: http.MethodGet, At: u.at})
	switch {
	case err != nil && remote.Retryable(err) || ctx.Err() != nil:
		return err
	case err != nil: // it is forgotten, or the registry does not tell
		u.at, u.off = nil, 0
	default:
		remote.Drain(resp)
		if resp.Header.Get("Location") == "" {
			resp.Header.Set("Location", u.at.String())
		}
		if err := u.took(resp, -1); err != nil {
			u.at, u.off = nil, 0
		}
	}
	u.asks = false
	switch gained := u.off - had; {
	case gained >= worthIt:
		u.progress(progressed)
		fallthrough
	case u.chunk == 0:
		// What one request brings can be sent again without being read again.
		u.chunk = cmp.Or(u.chunk, window)
	default:
		u.chunk = max(u.chunk/2, leastChunk)
	}
	return nil
}

// finish ends the upload, with n bytes that were not sent yet.
func (u *upload) finish(ctx context.Context, n int64) error {
	at := *u.at
	// What the registry wrote stays as it is: it may be signed.
	at.RawQuery = strings.TrimPrefix(at.RawQuery+"&digest="+url.QueryEscape(u.desc.Digest.String()), "&")
	s := remote.Sending{Method: http.MethodPut, At: &at, Header: http.Header{"Content-Type": {"application/octet-stream"}}}
	if n > 0 {
		s.Size = n
		s.Body = func() (io.ReadCloser, error) { return u.feed.piece(0, n) }
	}
	resp, err := u.r.w.Send(ctx, s)
	if err != nil {
		if remote.Status(err) == http.StatusBadRequest {
			return err // the digest, or the blob itself
		}
		return u.broke(err)
	}
	remote.Drain(resp)
	said := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if said != "" && said != u.desc.Digest && said.Algorithm() == u.desc.Digest.Algorithm() {
		return failure.Final(remote.Answered(resp, failure.New(failure.Mismatch, "the registry says that %s is %s", u.desc.Digest, failure.OneLine(string(said)))))
	}
	return nil
}

// rangeEnd reads "0-99" as 100 bytes. "0-0" is what registries say of none.
func rangeEnd(s string) (n int64, ok bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !found || first != "0" || err != nil || n < 0 {
		return 0, false
	}
	if n == 0 {
		return 0, true
	}
	return n + 1, true
}
