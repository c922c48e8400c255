// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"context"
	"hash"
	"io"
	"runtime"
	"sync"

	_ "crypto/sha256" // go-digest finds its algorithms by these imports
	_ "crypto/sha512"

	"github.com/opencontainers/go-digest"
)

// Options says what the blob is and what reading it may take.
type Options struct {
	// MediaType is that of the layer's descriptor; empty goes by the first
	// bytes of the blob.
	MediaType string
	// Size is the length of the blob where it is known: small ones are worked
	// on without the stages that work beside each other.
	Size int64
	// Algorithm is that of the diffID; empty is SHA-256.
	Algorithm digest.Algorithm
	// MaxSize is the largest size of the tar in bytes, MaxRatio how many times
	// larger than the blob it may grow, once it is past 1 GiB. Zero is no limit.
	MaxSize, MaxRatio int64
	// Windows is memory that zstd frames with a window above 8 MiB take from;
	// nil lets each stream have a window of [MaxWindow].
	Windows *Windows
	// Buffers is memory that was used for other streams before; nil takes new
	// memory.
	Buffers *Buffers
	// Tar receives the uncompressed tar, all of it, before who reads the stream
	// does; nil keeps none.
	Tar io.Writer
	// Marks has the stream make marks when it is asked to, where the blob's reader
	// tells the state of its digest; From goes on from one, with the blob from
	// Mark.Blob on. The other options must be the same.
	Marks bool
	From  *Mark
	// Begun is the tar in front of From: the stream gives it out again and compares
	// it with what the mark knows of it, and Tar receives what comes behind. nil
	// gives out what comes behind alone. Without From it is not looked at.
	Begun io.Reader
	// Passed is called at each mark, which it can take, when Tar has received all in
	// front of it; nil leaves marks to be asked for by Marked.
	Passed func() error
	// Serial does all work in the caller's goroutine, one step after the other.
	Serial bool
}

const (
	// smallBlob is what is worked on before goroutines would pay.
	smallBlob = 1 << 20
	// ratioFloor is the size of a tar from which on the ratio counts.
	ratioFloor = 1 << 30
)

// Stream is the uncompressed tar of a blob: counted, hashed and limited. Its
// methods are for one goroutine at a time.
type Stream struct {
	o           Options
	done        func() error // the context's
	compression string
	mistyped    bool
	digester    digest.Digester
	blob        *blobReader
	decoder     *decoder
	pieces      source
	free        chan *Piece
	handOver    func(*Piece) error

	size   int64 // of the tar, so far
	read   int64 // of the blob, for that
	piece  *Piece
	unread []byte // of piece
	err    error
	doubt  bool      // that Options.Begun is the tar in front of Options.From
	mark   *Mark     // that was passed last and was not taken
	since  hash.Hash // SHA-256 of the tar from there on

	// The reading ends after the decoding: when nothing is decoded any more,
	// the blob may have to be read on, to see what its reader says at the end.
	readAhead             *readAhead // nil where the decoder reads the blob
	reading               sync.WaitGroup
	stopAll, stopDecoding context.CancelFunc
}

// source gives the tar out piece by piece, hashed already. After a piece with
// an error there are no more.
type source interface {
	next() (*Piece, error)
	// end waits until no work is done any more.
	end()
}

// Open begins to read a blob, and finds out how it is compressed. The stream
// must be closed. Where Open fails the blob was read as far as Close reads it.
func Open(ctx context.Context, blob io.Reader, o Options) (*Stream, error) {
	if o.Buffers == nil {
		o.Buffers = new(Buffers)
	}
	if o.Algorithm == "" {
		o.Algorithm = digest.Canonical
	}
	s := &Stream{o: o, done: ctx.Err, digester: o.Algorithm.Digester(), blob: &blobReader{r: blob}}
	s.decoder = &decoder{blob: s.blob, hash: s.digester.Hash(), buffers: o.Buffers}
	if m := o.From; m != nil {
		s.read, s.blob.n = m.In, m.Blob
		if o.Begun == nil {
			s.size = m.Out
		}
	}
	ctx, s.stopAll = context.WithCancel(ctx)
	decoding, stop := context.WithCancel(ctx)
	s.stopDecoding = stop
	// A small blob is not worth a goroutine, and with one processor only the
	// network is: all else would share it.
	small := o.Serial || 0 < o.Size && o.Size < smallBlob
	s.decoder.begin = func() {}
	if !small {
		s.readAhead = newReadAhead(ctx, o.Buffers)
		s.blob.r = s.readAhead
		s.remember()
		s.decoder.begin = func() { s.reading.Go(func() { s.readAhead.run(blob) }) }
	}
	if s.doubt = o.From != nil && o.Begun != nil; !s.doubt {
		s.decoder.begin()
	}
	c, mistyped, err := s.decoder.open(decoding, o)
	if err != nil {
		_, damaged := err.(*FormatError)
		return nil, s.Close(err, damaged)
	}
	s.compression, s.mistyped = c.name, mistyped
	s.start(decoding, !small && runtime.GOMAXPROCS(0) > 1)
	if o.From != nil && o.Begun == nil {
		if err := s.resume(o.From); err != nil {
			return nil, s.Close(err, false)
		}
	}
	return s, nil
}

func (s *Stream) start(ctx context.Context, parallel bool) {
	count := 1
	if parallel {
		count = pieceCount
	}
	s.free = make(chan *Piece, count)
	for range count {
		s.free <- &Piece{free: s.free}
	}
	if parallel {
		s.pieces = startStages(ctx, s.decoder, s.free)
	} else {
		s.pieces = oneByOne{s.decoder, s.free}
	}
}

// Compression is how the blob is compressed: "gzip", "zstd" or "" for none.
func (s *Stream) Compression() string { return s.compression }

// Mistyped is true where the blob is not compressed as its media type says.
func (s *Stream) Mistyped() bool { return s.mistyped }

// Parallel is true where the stages work beside the reader of the tar.
func (s *Stream) Parallel() bool { return cap(s.free) > 1 }

// Size is how much of the tar came out of the decompressor so far, BlobSize how
// much of the blob that took.
func (s *Stream) Size() int64     { return s.size }
func (s *Stream) BlobSize() int64 { return s.read }

// Buffered is how much of the tar Next can return without another piece.
func (s *Stream) Buffered() int64 { return int64(len(s.unread)) }

// Digest is the diffID, once everything was read.
func (s *Stream) Digest() digest.Digest { return s.digester.Digest() }

// HandOver has to take over, and release, each piece that was read to its end,
// so that data which Next returned can be used for longer. An error ends the
// stream.
func (s *Stream) HandOver(to func(*Piece) error) { s.handOver = to }

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	b, err := s.Next(int64(len(p)))
	return copy(p, b), err
}

// Next returns what comes next, n bytes at most. It can be used until the piece
// that it lies in is released: by the next call, or by who took that over. The
// bytes in front of an error come before it.
func (s *Stream) Next(n int64) ([]byte, error) {
	for len(s.unread) == 0 { // a piece can be empty
		if s.err != nil {
			return nil, s.err
		}
		s.err = s.fill()
	}
	b := s.unread[:min(n, int64(len(s.unread)))]
	s.unread = s.unread[len(b):]
	if s.since != nil {
		_, _ = s.since.Write(b) // a hash's Write has no error
	}
	return b, nil
}

// fill takes the next piece.
func (s *Stream) fill() error {
	if err := s.done(); err != nil {
		return err
	}
	if err := s.leave(); err != nil {
		return err
	}
	p, err := s.pieces.next()
	if err != nil {
		return err
	}
	s.piece = p
	s.doubt = s.doubt && (p.proof == nil || p.err == ErrMark)
	if err := s.pass(p.mark); err != nil {
		return err
	}
	s.size += int64(len(p.data))
	s.read = p.read
	if err := s.limit(); err != nil {
		return err
	}
	s.unread = p.data
	if s.o.Tar != nil && !p.begun {
		if _, err := s.o.Tar.Write(p.data); err != nil {
			return err
		}
	}
	return p.err
}

// leave gives the piece away that was read.
func (s *Stream) leave() error {
	p := s.piece
	s.piece = nil
	switch {
	case p == nil:
		return nil
	case s.handOver != nil:
		return s.handOver(p)
	}
	p.Release()
	return nil
}

func (s *Stream) limit() error {
	if s.o.MaxSize > 0 && s.size > s.o.MaxSize {
		return &LimitError{Limit: "bytes", Max: s.o.MaxSize}
	}
	if s.o.MaxRatio > 0 && s.size > ratioFloor && s.size/s.o.MaxRatio > s.read {
		return &LimitError{Limit: "ratio", Max: s.o.MaxRatio}
	}
	return nil
}

// Close stops what still works and waits for it; all pieces that were handed
// over must be released by then. cause is the error that ended the reading, or
// nil, and damaged says whether it calls the data damaged: then the blob is read
// to its end, and an error of its reader comes in place of cause. What is damaged in
// front of a mark is not the blob's: that is [ErrMark].
func (s *Stream) Close(cause error, damaged bool) error {
	if damaged && s.doubt {
		cause, damaged = ErrMark, false
	}
	if !damaged {
		s.stopAll()
	}
	s.stopDecoding()
	if s.pieces != nil {
		s.pieces.end()
	}
	if s.decoder.in != nil {
		s.decoder.in.close()
	}
	err := cause
	if damaged {
		err = s.blob.confirm(cause)
	}
	s.stopAll()
	s.reading.Wait()
	s.recycle()
	return err
}

// recycle keeps the memory that nobody uses any more.
func (s *Stream) recycle() {
	if s.piece != nil {
		s.piece.Release()
		s.piece, s.unread = nil, nil
	}
	for range len(s.free) {
		if p := <-s.free; p.buf != nil {
			s.o.Buffers.pieces.Keep(p.buf)
		}
	}
	if s.readAhead != nil {
		s.readAhead.recycle()
	}
}
