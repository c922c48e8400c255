// SPDX-License-Identifier: Apache-2.0

package pushing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// window is how many bytes that were read can be sent again without being read again.
// It is more than what is under way to a registry when a connection breaks.
const window = 2 << 20

// maxRead is how many bytes are read from the source at once. net/http asks for 32 KiB,
// which would take more calls.
const maxRead = 256 << 10

// Open opens a blob from its first byte. Its stream returns io.EOF only if all bytes
// were right.
type Open func(ctx context.Context) (io.ReadCloser, error)

// feed is a blob that is sent in pieces, which may overlap.
type feed struct {
	ctx  context.Context //nolint:containedctx // of the upload
	open Open
	size int64
	sent func(offset int64) // is called with the furthest byte that was sent

	mu   sync.Mutex
	from io.ReadCloser // nil while nothing is open
	pos  int64         // how many bytes were read from it
	kept []byte        // a ring: byte i, of the last before pos, is at i modulo its length
	turn int           // the number of the piece that may be read
	told int64         // what sent was called with last
	err  error         // why no more can be read
}

// newFeed returns a feed of the blob that open opens.
func newFeed(ctx context.Context, open Open, size int64, sent func(int64)) *feed {
	return &feed{ctx: ctx, open: open, size: size, sent: sent, kept: make([]byte, min(window, max(size, 1)))}
}

// piece returns the body of one request: n bytes from off. It ends the piece before
// it, which cannot be read any more.
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

// restart opens the source anew and reads it up to off. The caller holds mu.
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

// more reads the next bytes into kept, and returns them. The caller holds mu.
func (f *feed) more() ([]byte, error) {
	at := f.pos % int64(len(f.kept))
	to := f.kept[at:min(int64(len(f.kept)), at+maxRead)]
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

// verdict reads the source's io.EOF, which says that all bytes are right, before the
// last of them are sent.
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

// failed returns why the source could not be read; nil if it could.
func (f *feed) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Close closes the source. No piece can be read any more.
func (f *feed) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	return f.closeSource()
}

// sourceError says that the bytes to send could not be read.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

var errOver = errors.New("this request is over")

// piece reads a part of a feed.
type piece struct {
	f        *feed
	turn     int
	off, end int64
}

// Read implements io.Reader. It may be called after the next piece has begun, for
// net/http may still read after an answer.
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
