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

// inChunks reports whether the blob is to be fetched over several connections: a
// large one is, the first time.
func (r *Repository) inChunks(desc ocispec.Descriptor) bool {
	if r.Requests(desc) == 1 {
		return false
	}
	_, before := r.chunked.LoadOrStore(desc.Digest, true)
	return !before
}

// Requests returns how many requests a blob takes at the least.
func (r *Repository) Requests(desc ocispec.Descriptor) int {
	if r.c.o.Ranges < 2 || desc.Size < 2*r.c.o.Chunk {
		return 1
	}
	return int((desc.Size + r.c.o.Chunk - 1) / r.c.o.Chunk)
}

// chunks reads a blob by several streams at once. Each of them fetches one chunk
// after the other into memory, so that no connection waits for the reader of the
// blob. Read passes the chunks on in their order. Where a host turns out to send no
// ranges, one stream reads the rest.
type chunks struct {
	ctx   context.Context //nolint:containedctx // of the call that opened the blob
	r     *Repository
	desc  ocispec.Descriptor
	known *rangings
	sum   func() digest.Digest // returns the digest of the first off bytes
	size  int64                // the size of each chunk but the last

	head    *stream // the stream of the first chunk, connected
	stop    context.CancelFunc
	workers sync.WaitGroup
	tickets chan int64 // the chunks to fetch for which a slot is free, in order
	slots   []slot     // chunk i uses slot i modulo their number

	next  int64   // the chunk that is passed on next
	left  []byte  // what is left of the chunk before it
	off   int64   // how many bytes were passed on
	host  string  // the host that sent the chunk before it
	whole *stream // reads the rest, once chunks cannot be fetched
}

// slot has room for one chunk. The ticket of the next chunk that uses the slot is
// issued when the last one was passed on.
type slot struct {
	mem  []byte
	full chan fetched
}

// fetched is a chunk, or the error instead of it.
type fetched struct {
	data []byte
	host string
	err  error
}

// startChunks starts to fetch the chunks of the blob whose first chunk head reads.
// [chunks.Close] ends that.
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

// work fetches one chunk after the other until ctx is done.
func (c *chunks) work(ctx context.Context) {
	for {
		select {
		case i := <-c.tickets:
			s := &c.slots[i%int64(len(c.slots))]
			s.full <- c.fetch(ctx, i, s) // does not block: the ticket says that the slot is free
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

// goOnWhole drops the chunks that were not passed on, and has one stream read on.
func (c *chunks) goOnWhole(why error) {
	c.r.c.o.Logger.Info("go on over one connection", "digest", c.desc.Digest, "byte", c.off, "err", why)
	c.end()
	c.whole = c.r.stream(c.ctx, c.desc, c.known)
	c.whole.off, c.whole.sum = c.off, c.sum
}

// from returns who sent the last bytes. The blob came in several responses.
func (c *chunks) from() content.Sender {
	if c.whole != nil && c.whole.from != nil {
		return content.Sender{Host: c.whole.from.peer.host, Resumed: true}
	}
	return content.Sender{Host: c.host, Resumed: true}
}

// end stops all workers and waits for them.
func (c *chunks) end() {
	c.stop()
	c.head.cancel()
	c.workers.Wait()
	c.slots, c.left = nil, nil
}

// Close implements io.Closer. When it returns nothing is being fetched any more.
func (c *chunks) Close() error {
	c.end()
	err := c.head.Close()
	if c.whole != nil {
		err = c.whole.Close()
	}
	return err
}
