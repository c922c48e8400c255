// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding"
	"errors"
	"hash"
	"io"
	"time"

	"github.com/layerctl/layerctl/internal/inflate"
)

// Mark is a place in the tar that another stream can go on from, and what it
// takes to do so. It is no verdict on what comes before: digests are, and they go
// over both parts.
type Mark struct {
	// Blob is the byte of the blob from which on the other stream reads it, and
	// BlobState what the blob's reader says of its digest up to there.
	Blob      int64
	BlobState []byte
	// In is the byte of the blob, not before Blob, at which decompressing goes
	// on.
	In          int64
	Compression string
	Mistyped    bool
	Inflate     []byte // of gzip: an inflate.Checkpoint
	// Out is how much of the tar comes before that, and TarState the state of the
	// digest over it.
	Out      int64
	TarState []byte
	// Skip bytes of the tar, from Out on, were read before the mark was taken, and
	// have the SHA-256 SkipSum. The other stream must find the same.
	Skip    int64
	SkipSum []byte

	asked bool
}

// ErrMark is a mark that no stream of this blob can have made.
var ErrMark = errors.New("the layer cannot be gone on with from here")

// stater is the reader of a blob that tells the state of the blob's digest.
type stater interface {
	State(b []byte) (state []byte, n int64)
}

// blobState is one of them.
type blobState struct {
	n     int64
	state []byte
}

// Ask has a mark made at the next place where that can be, behind what is on its
// way. It may be called by any goroutine.
func (s *Stream) Ask() { s.decoder.asked.Store(true) }

// Marked reports whether there is a mark to take.
func (s *Stream) Marked() bool { return s.mark != nil }

// TakeMark is the last mark that was passed, for the present place in the tar.
func (s *Stream) TakeMark() *Mark {
	m := s.mark
	m.Skip, m.SkipSum = s.size-int64(len(s.unread))-m.Out, s.since.Sum(nil)
	m.Compression, m.Mistyped = s.compression, s.mistyped
	s.mark, s.since = nil, nil
	return m
}

// pass takes a mark at the beginning of a piece. Until the mark is taken, the tar
// is hashed once more: for one that nobody has asked for, only as long as the next
// piece may make the reader wait.
func (s *Stream) pass(m *Mark) error {
	switch {
	case m != nil:
		m.asked = m.asked || s.mark != nil && s.mark.asked
		m.Out, s.mark, s.since = s.size, m, sha256.New()
		if s.o.Passed != nil {
			err := s.o.Passed()
			s.mark, s.since = nil, nil
			return err
		}
	case s.mark != nil && !s.mark.asked && s.size-s.mark.Out > pieceSize:
		s.mark, s.since = nil, nil
	}
	return nil
}

// resume brings the stream to where a mark was taken.
func (s *Stream) resume(m *Mark) error {
	sum := sha256.New()
	for left := m.Skip; left > 0; {
		b, err := s.Next(left)
		if err == io.EOF {
			return ErrMark
		}
		if err != nil {
			return err
		}
		sum.Write(b)
		left -= int64(len(b))
	}
	if !bytes.Equal(sum.Sum(nil), m.SkipSum) {
		return ErrMark
	}
	return nil
}

// setState gives a hash a state that it had.
func setState(h hash.Hash, state []byte) error {
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok || u.UnmarshalBinary(state) != nil {
		return ErrMark
	}
	return nil
}

func stateOf(h hash.Hash) []byte {
	if m, ok := h.(encoding.BinaryMarshaler); ok {
		if state, err := m.MarshalBinary(); err == nil {
			return state
		}
	}
	return nil
}

// goOn opens the decompressor at a mark, behind the tar in front of it where that is
// given out again.
func (d *decoder) goOn(o opening, m *Mark, tar io.Reader) (c compression, err error) {
	for _, known := range []compression{uncompressed, gzipped, zstded} {
		if known.name == m.Compression {
			c = known
		}
	}
	if c.open == nil || m.In < m.Blob || m.In-m.Blob > keptStates || m.Skip < 0 || m.Out < 0 || m.TarState == nil {
		return c, ErrMark
	}
	if tar != nil {
		d.begun = &begun{tar: tar, left: m.Out, state: m.TarState, open: func() (decompressor, error) {
			d.begin()
			return c.openAt(o, m)
		}}
		d.in = d.begun
		return c, nil
	}
	if err = setState(d.hash, m.TarState); err == nil {
		d.in, err = c.openAt(o, m)
	}
	return c, err
}

// openAt opens the decompressor at a mark; nil with an error.
func (c compression) openAt(o opening, m *Mark) (decompressor, error) {
	if _, err := o.in.Discard(int(m.In - m.Blob)); err != nil {
		return nil, err
	}
	in, err := c.open(o)
	if err != nil {
		return nil, err
	}
	g, gzip := in.(gzipReader)
	if !gzip {
		return in, nil
	}
	var at inflate.Checkpoint
	if err = at.UnmarshalBinary(m.Inflate); err != nil || at.In != m.In || at.Out != m.Out {
		err = ErrMark
	} else {
		err = g.Resume(o.in, &at)
	}
	if err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// look makes a mark of the place behind the last piece, if one was asked for and
// can be made there.
func (d *decoder) look() {
	if !d.pausing {
		return
	}
	in, state, ok := d.in.place()
	if !ok {
		return
	}
	d.pausing = false
	at, ok := d.ahead.before(in)
	if !ok {
		d.slow = d.ahead != nil // not yet
		return
	}
	d.mark = &Mark{Blob: at.n, BlobState: at.state, In: in, Inflate: state, asked: d.wanted}
	d.wanted = false
}

// slowPiece is how long a piece waits for the blob where the link is so slow that a
// mark must not wait until one is full.
const slowPiece = 50 * time.Millisecond

// keptStates is how far back states of the blob's digest are kept: farther than
// the decompressors read ahead.
const keptStates = 512 << 10

// stateEvery is how far they lie apart, at least.
const stateEvery = 32 << 10

// remember has the states of the blob's digest kept from here on.
func (s *Stream) remember() {
	if !s.o.Marks {
		return
	}
	s.decoder.ahead, s.decoder.slow, s.readAhead.telling = s.readAhead, true, true
	if m := s.o.From; m != nil {
		s.readAhead.states = append(s.readAhead.states, blobState{m.Blob, m.BlobState})
	}
}

// tell notes the state of the blob's digest behind a part.
func (a *readAhead) tell(blob io.Reader, p *part) {
	if !a.telling {
		return
	}
	s, ok := blob.(stater)
	if !ok {
		return
	}
	if a.since += int64(p.n); a.since < stateEvery {
		return
	}
	a.since = 0
	p.state.state, p.state.n = s.State(nil)
}

// keep keeps the state behind a part that was taken.
func (a *readAhead) keep(s blobState) {
	if s.state == nil {
		return
	}
	a.states = append(a.states, s)
	for len(a.states) > 1 && a.states[1].n < s.n-keptStates/2 {
		a.states = a.states[1:]
	}
}

// lag is how long the blob was waited for since it was last asked.
func (a *readAhead) lag() (waited time.Duration) {
	if a != nil {
		waited, a.waited = a.waited, 0
	}
	return waited
}

// before is the last state at byte n or before it.
func (a *readAhead) before(n int64) (blobState, bool) {
	if a == nil {
		return blobState{}, false
	}
	for i := len(a.states) - 1; i >= 0; i-- {
		if s := a.states[i]; s.n <= n && s.state != nil && n-s.n <= keptStates {
			return s, true
		}
	}
	return blobState{}, false
}

// offsetOf is the byte of the blob that comes next from in.
func offsetOf(blob *blobReader, in *bufio.Reader) int64 { return blob.n - int64(in.Buffered()) }
