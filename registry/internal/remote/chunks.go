// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// inChunks says whether the blob is to be fetched over several connections.
func (r *Repository) inChunks(desc ocispec.Descriptor) bool {
	if r.c.o.Ranges < 2 || desc.Size < 2*r.c.o.Chunk {
		return false
	}
	_, again := r.chunked.LoadOrStore(desc.Digest, true)
	return !again
}

// Requests is how many requests a blob takes at the least.
func (r *Repository) Requests(desc ocispec.Descriptor) int {
	if r.c.o.Ranges < 2 || desc.Size < 2*r.c.o.Chunk {
		return 1
	}
	return int((desc.Size + r.c.o.Chunk - 1) / r.c.o.Chunk)
}

// chunks reads a blob by several streams at once, each of which fetches one
// chunk after the other into memory: so no body waits for whoever reads the
// blob. The chunks are passed on in their order. Where a host turns out to
// send no parts, the rest is read by one stream.
type chunks struct {
	ctx   context.Context //nolint:containedctx // of the call that opened the blob
	r     *Repository
	desc  ocispec.Descriptor
	known *rangings
	sum   func() digest.Digest // of the first off bytes
	size  int64                // of a chunk, but for the last

	head    *stream // of the first chunk, connected
	stop    context.CancelFunc
	workers sync.WaitGroup
	tickets chan int64 // the chunks that there is room for, in order
	slots   []slot     // chunk i is in slot i modulo their number

	next  int64  // the chunk that is passed on next
	left  []byte // of the one before it
	off   int64
	host  string
	whole *stream // in place of the chunks, once they cannot go on
}

// slot has room for one chunk. It is given to the next one by a ticket, when
// its last one was passed on.
type slot struct {
	mem  []byte
	full chan fetched
}

// fetched is a chunk, or why there is none.
type fetched struct {
	data []byte
	host string
	err  error
}

// startChunks goes on from the head. Close ends what it starts.
func startChunks(ctx context.Context, head *stream) *chunks {
	o := &head.r.c.o
	c := &chunks{
		ctx: ctx, r: head.r, desc: head.desc, known: head.known, sum: head.sum, size: o.Chunk, head: head,
	}
	n := min(int64(o.Ranges), c.count())
	c.slots = make([]slot, min(n+1, c.count()))
	c.tickets = make(chan int64, len(c.slots))
	for i := range c.slots {
		c.slots[i].full = make(chan fetched, 1)
		c.tickets <- int64(i)
	}
	var working context.Context
	working, c.stop = context.WithCancel(ctx)
	for range n {
		c.workers.Go(func() { c.work(working) })
	}
	return c
}

func (c *chunks) count() int64 { return (c.desc.Size + c.size - 1) / c.size }

// work fetches one chunk after the other.
func (c *chunks) work(ctx context.Context) {
	for {
		select {
		case i := <-c.tickets:
			s := &c.slots[i%int64(len(c.slots))]
			s.full <- c.fetch(ctx, i, s) // has room: the ticket says so
		case <-ctx.Done():
			return
		}
	}
}

func (c *chunks) fetch(ctx context.Context, i int64, to *slot) fetched {
	s := c.head
	if i > 0 {
		s = c.r.stream(ctx, c.desc, c.known)
		s.chunk, s.off, s.end = true, i*c.size, min((i+1)*c.size, c.desc.Size)
	}
	defer s.Close()
	if to.mem == nil {
		to.mem = make([]byte, c.size)
	}
	data := to.mem[:s.end-i*c.size]
	if _, err := io.ReadFull(s, data); err != nil {
		return fetched{err: err}
	}
	s.from.peer.mark(true)
	return fetched{data: data, host: s.from.peer.host}
}

// Read implements io.Reader.
func (c *chunks) Read(p []byte) (int, error) {
	for len(c.left) == 0 && c.whole == nil {
		if c.next == c.count() {
			return 0, io.EOF
		}
		if err := c.take(); err != nil {
			return 0, err
		}
	}
	if c.whole != nil {
		return c.whole.Read(p)
	}
	n := copy(p, c.left)
	c.left, c.off = c.left[n:], c.off+int64(n)
	if ahead := c.next - 1 + int64(len(c.slots)); len(c.left) == 0 && ahead < c.count() {
		c.tickets <- ahead
	}
	return n, nil
}

// take waits for the next chunk.
func (c *chunks) take() error {
	select {
	case f := <-c.slots[c.next%int64(len(c.slots))].full:
		if errors.Is(f.err, errNoRanges) {
			c.goOnWhole(f.err)
			return nil
		}
		c.left, c.host = f.data, f.host
		c.next++
		return f.err
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// goOnWhole gives the chunks up that were not passed on.
func (c *chunks) goOnWhole(why error) {
	c.r.c.o.Logger.Info("go on over one connection", "digest", c.desc.Digest, "byte", c.off, "err", why)
	c.end()
	c.whole = c.r.stream(c.ctx, c.desc, c.known)
	c.whole.off, c.whole.sum = c.off, c.sum
}

// from is who sent the last bytes. They never came in one response.
func (c *chunks) from() content.Sender {
	if c.whole != nil && c.whole.from != nil {
		return content.Sender{Host: c.whole.from.peer.host, Resumed: true}
	}
	return content.Sender{Host: c.host, Resumed: true}
}

func (c *chunks) end() {
	c.stop()
	c.head.cancel()
	c.workers.Wait()
	c.slots, c.left = nil, nil
}

// Close implements io.Closer. Nothing is fetched any more when it returns.
func (c *chunks) Close() error {
	c.end()
	err := c.head.Close()
	if c.whole != nil {
		err = c.whole.Close()
	}
	return err
}
