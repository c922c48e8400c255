// SPDX-License-Identifier: Apache-2.0

package pushing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// window is how many bytes that were read can be sent once more without being
// read again: more than what lies between here and a registry.
const window = 2 << 20

// ahead is how many bytes are read at a time where they are there: net/http asks
// for 32 KiB, and reading as little costs calls.
const ahead = 256 << 10

// Open opens a blob from its first byte. Its stream ends with io.EOF only if
// what it read was right.
type Open func(ctx context.Context) (io.ReadCloser, error)

// feed is a blob that is sent in pieces, some of them twice.
type feed struct {
	ctx  context.Context //nolint:containedctx // of the upload
	open Open
	size int64
	sent func(offset int64) // hears of the furthest byte that was sent

	mu   sync.Mutex
	from io.ReadCloser // nil before the first byte
	pos  int64         // how many bytes were read from it
	kept []byte        // those before pos, at its position modulo the length
	turn int           // of the piece that may be read
	told int64
	err  error // why no more can be read
}

// newFeed reads from open.
func newFeed(ctx context.Context, open Open, size int64, sent func(int64)) *feed {
	return &feed{ctx: ctx, open: open, size: size, sent: sent, kept: make([]byte, min(window, max(size, 1)))}
}

// piece is the body of one request: n bytes from off. Only the last piece that
// was asked for can be read.
func (f *feed) piece(off, n int64) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	if f.err != nil {
		return nil, f.err
	}
	if off > f.pos || off < f.pos-int64(len(f.kept)) || f.from == nil {
		if err := f.restart(off); err != nil {
			return nil, err
		}
	}
	return &piece{f: f, turn: f.turn, off: off, end: off + n}, nil
}

// restart reads from the beginning up to off. It must be called with mu held.
func (f *feed) restart(off int64) error {
	if err := f.closeSource(); err != nil {
		return err
	}
	var err error
	if f.from, err = f.open(f.ctx); err != nil {
		f.from = nil
		return err
	}
	f.pos = 0
	for f.pos < off {
		if _, err := f.more(); err != nil {
			return err
		}
	}
	return nil
}

// more reads into what is kept, and returns what came. It must be called with mu
// held.
func (f *feed) more() ([]byte, error) {
	at := f.pos % int64(len(f.kept))
	to := f.kept[at:min(int64(len(f.kept)), at+ahead)]
	got, err := f.from.Read(to)
	f.pos += int64(got)
	switch {
	case err == io.EOF && f.pos < f.size:
		err = io.ErrUnexpectedEOF
	case err == io.EOF:
		err = nil
	case err == nil && f.pos == f.size:
		err = f.verdict()
	}
	if err != nil {
		f.err = &sourceError{err}
		return nil, f.err
	}
	return to[:got], nil
}

// verdict waits for what the source says of its bytes, before the last of them
// are sent.
func (f *feed) verdict() error {
	var one [1]byte
	n, err := io.ReadFull(f.from, one[:])
	switch {
	case n > 0:
		return fmt.Errorf("more than %d bytes", f.size)
	case err == io.EOF:
		return nil
	}
	return err
}

func (f *feed) closeSource() error {
	if f.from == nil {
		return nil
	}
	err := f.from.Close()
	f.from = nil
	return err
}

// failed is why the source could not be read, which is no fault of the
// registry; nil where it could.
func (f *feed) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Close ends what is still being read.
func (f *feed) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	return f.closeSource()
}

// sourceError says that the bytes that were to be sent could not be had.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

var errOver = errors.New("this request is over")

// piece is a part of a feed.
type piece struct {
	f        *feed
	turn     int
	off, end int64
}

// Read implements io.Reader. net/http may read on after it has an answer.
func (p *piece) Read(b []byte) (int, error) {
	f := p.f
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case p.turn != f.turn:
		return 0, errOver
	case p.off == p.end:
		return 0, io.EOF
	case len(b) == 0:
		return 0, nil
	}
	n := min(int64(len(b)), p.end-p.off)
	var got []byte
	if p.off < f.pos {
		at := p.off % int64(len(f.kept))
		got = f.kept[at:min(int64(len(f.kept)), at+n, at+f.pos-p.off)]
	} else {
		var err error
		if got, err = f.more(); err != nil {
			return 0, err
		}
		got = got[:min(n, int64(len(got)))]
	}
	copy(b, got)
	p.off += int64(len(got))
	if p.off > f.told {
		f.told = p.off
		if f.sent != nil {
			f.sent(p.off)
		}
	}
	return len(got), nil
}

// Close implements io.Closer.
func (p *piece) Close() error { return nil }
