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
	// maxSingle is the size of the largest blob that is sent in the request that ends
	// its upload. That saves a request, and is not too much to send again.
	maxSingle = 1 << 20
	// leastChunk is the size of the smallest chunk, for registries that keep nothing
	// of a request that breaks off.
	leastChunk = 64 << 10
	// leastProgress is how many bytes a registry must have taken for the upload to
	// count as going on.
	leastProgress = 16 << 10
)

// Blob is a blob to send.
type Blob struct {
	Descriptor ocispec.Descriptor
	// Open opens the blob. It is called again if the registry has lost what it had
	// taken.
	Open Open
	// From is another repository of the same registry that may have the blob; ""
	// where none is known.
	From string
	// Sent is called with how many of its bytes were sent, from any goroutine; nil is
	// not called.
	Sent func(offset int64)
}

// Outcome is how a blob came into the repository.
type Outcome int

// The outcomes.
const (
	Sent    Outcome = iota + 1 // it was sent
	Present                    // the repository had it
	Mounted                    // the registry had it in the other repository
)

// Put brings a blob into the repository, unless that has it.
func (r *Repository) Put(ctx context.Context, b Blob) (Outcome, error) {
	if err := content.Check(b.Descriptor, 0); err != nil {
		return 0, err
	}
	has, err := r.Has(ctx, b.Descriptor)
	if has || err != nil {
		return Present, err
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
	// The source's own error says more than what the request makes of it.
	if failed := u.feed.failed(); failed != nil && err != nil {
		err = failed
	}
	return done, err
}

// upload is one blob that is being sent.
type upload struct {
	r    *Repository
	desc ocispec.Descriptor
	feed *feed

	at    *url.URL // the URL of the next request; nil where the upload has to begin
	off   int64    // how many bytes the registry has
	best  int64    // the most bytes that it ever had: those that it loses are no progress
	asks  bool     // the registry has to be asked how many bytes it has
	done  bool     // the registry has the blob
	chunk int64    // how many bytes one request may have; 0 means all that are left
	least int64    // how many bytes the registry wants in one request at least
}

// begin asks the registry to mount the blob from another repository. A registry that
// does not mount it begins an upload instead. The outcome is 0 unless it was mounted.
func (u *upload) begin(ctx context.Context, from string) (Outcome, error) {
	if from == "" {
		return 0, nil // send begins the upload
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
		return 0, nil // send begins the upload, without the other repository
	}
	return done, err
}

// opened reads the answer with which the registry has begun an upload.
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

// send sends what the registry does not have yet. It is called again after an error.
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
	if u.off == 0 && u.desc.Size <= maxSingle && u.chunk == 0 {
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

// gained asks the registry, after a request that broke off, whether it has taken enough
// of that for the upload to go on at once.
func (u *upload) gained(ctx context.Context, progressed func(int)) bool {
	had := u.off
	if !u.asks || u.ask(ctx, progressed) != nil {
		return false
	}
	return u.done || u.at != nil && u.off-had >= leastProgress
}

// broke decides how the upload goes on after an error.
func (u *upload) broke(err error) error {
	var source *sourceError
	switch status := remote.Status(err); {
	case errors.As(err, &source):
		return failure.Final(err)
	case status == http.StatusRequestedRangeNotSatisfiable:
		u.asks = true // it has more or fewer bytes than we thought
		return failure.Mark(failure.Network, errors.New(err.Error()))
	case status == http.StatusNotFound, status == http.StatusBadRequest && u.off > 0:
		u.at = nil // it has dropped the upload, or does not take the rest
		return failure.Mark(failure.Network, errors.New(err.Error()))
	case remote.Retryable(err):
		u.asks = true
	}
	return err
}

// patch sends the next chunk.
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
		// Connections have broken after a number of bytes, and some registries drop an
		// upload when one breaks. So each chunk gets a connection of its own.
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

// progress calls progressed if the registry has more bytes than ever before.
func (u *upload) progress(progressed func(int)) {
	if gained := u.off - u.best; gained >= leastProgress || gained > 0 && u.off == u.desc.Size {
		u.best = u.off
		progressed(int(gained))
	}
}

// took reads from an answer how many bytes the registry has. expect is how many it
// should have, which holds where it does not say; -1 means that it is not known.
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

// ask asks how many bytes of the upload the registry has, after a request that broke
// off. If those are few, later requests become smaller.
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
	case err != nil: // the registry has dropped the upload, or does not say
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
	case gained >= leastProgress:
		u.progress(progressed)
		fallthrough
	case u.chunk == 0:
		// The bytes of one request are kept, and need not be read again.
		u.chunk = cmp.Or(u.chunk, window)
	default:
		u.chunk = max(u.chunk/2, leastChunk)
	}
	return nil
}

// finish ends the upload, by a request with the whole blob of n bytes, or with none if
// n is 0.
func (u *upload) finish(ctx context.Context, n int64) error {
	at := *u.at
	// The registry's own query stays byte by byte, because it may be signed.
	at.RawQuery = strings.TrimPrefix(at.RawQuery+"&digest="+url.QueryEscape(u.desc.Digest.String()), "&")
	s := remote.Sending{Method: http.MethodPut, At: &at, Header: http.Header{"Content-Type": {"application/octet-stream"}}}
	if n > 0 {
		s.Size = n
		s.Body = func() (io.ReadCloser, error) { return u.feed.piece(0, n) }
	}
	resp, err := u.r.w.Send(ctx, s)
	if err != nil {
		if remote.Status(err) == http.StatusBadRequest {
			return err // the registry refuses the digest, or the blob itself
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

// rangeEnd reads how many bytes a Range says that the registry has: "0-99" means 100.
// "0-0" means none, as registries write it.
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
