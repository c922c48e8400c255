// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"context"
	"io"
	"time"
)

// readAhead reads a blob in a goroutine of its own, so that neither the network
// nor the digest that the blob's reader computes waits for what comes after.
type readAhead struct {
	full    chan part
	free    chan []byte
	done    <-chan struct{}
	buffers *Buffers
	why     func() error // why done is
	got     part
	left    []byte // of got, not handed out yet
	// The states of the blob's digest behind what was read last, where the blob
	// tells them and somebody wants them: for the reader of readAhead. since is how
	// much came after the one that was told last, for the other side.
	telling bool
	states  []blobState
	since   int64
	waited  time.Duration
}

// part is some of the blob, and the error that came behind it.
type part struct {
	mem []byte
	n   int
	err error
	// state is that of the blob's digest behind it; nil where it was not told.
	state blobState
}

// What a blob is read ahead by.
const (
	partSize  = 128 << 10
	partCount = 4
)

func newReadAhead(ctx context.Context, b *Buffers) *readAhead {
	a := &readAhead{buffers: b, full: make(chan part, partCount), free: make(chan []byte, partCount), done: ctx.Done(), why: ctx.Err}
	for range partCount {
		a.free <- nil // the memory comes with the first use
	}
	return a
}

// run reads until the blob ends, by an error or not.
func (a *readAhead) run(blob io.Reader) {
	for {
		select {
		case mem := <-a.free:
			if mem == nil {
				mem = a.buffers.part()
			}
			p := a.read(blob, mem)
			a.tell(blob, &p)
			a.full <- p // has room for all
			if p.err != nil {
				return
			}
		case <-a.done:
			return
		}
	}
}

// read fills mem for as long as the other side has enough to do without it.
func (a *readAhead) read(blob io.Reader, mem []byte) part {
	p := part{mem: mem}
	for p.n < len(mem) && p.err == nil && (p.n == 0 || len(a.full) > 0) {
		var n int
		n, p.err = blob.Read(mem[p.n:])
		p.n += n
	}
	return p
}

// Read implements io.Reader.
func (a *readAhead) Read(b []byte) (int, error) {
	for len(a.left) == 0 {
		if a.got.err != nil {
			return 0, a.got.err
		}
		if a.got.mem != nil {
			a.free <- a.got.mem
			a.got.mem = nil
		}
		begun := time.Now()
		select {
		case a.got = <-a.full:
			a.waited += time.Since(begun)
			a.left = a.got.mem[:a.got.n]
			a.keep(a.got.state)
		case <-a.done:
			return 0, a.why()
		}
	}
	n := copy(b, a.left)
	a.left = a.left[n:]
	return n, nil
}

// recycle keeps the memory once nobody reads any more.
func (a *readAhead) recycle() {
	if a.got.mem != nil {
		a.buffers.parts.Keep(a.got.mem)
	}
	for range len(a.full) {
		a.buffers.parts.Keep((<-a.full).mem)
	}
	for range len(a.free) {
		if mem := <-a.free; mem != nil {
			a.buffers.parts.Keep(mem)
		}
	}
}
