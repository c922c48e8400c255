// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"context"
	"sync"
)

// stages works beside the goroutine that reads the tar:
//
//	read the blob, and verify it | decompress | hash for the diffID | read the tar | …
//
// Errors travel with the pieces: they arrive in order, behind the data in front
// of them.
type stages struct {
	decoder         *decoder
	decoded, hashed chan *Piece
	free            chan *Piece
	work            sync.WaitGroup
	ctx             context.Context //nolint:containedctx // of one stream
}

func startStages(ctx context.Context, d *decoder, free chan *Piece) *stages {
	s := &stages{decoder: d, free: free, decoded: make(chan *Piece, pieceCount), hashed: make(chan *Piece, pieceCount), ctx: ctx}
	s.work.Go(s.decode)
	s.work.Go(s.hash)
	return s
}

func (s *stages) decode() {
	defer close(s.decoded)
	for {
		select {
		case p := <-s.free:
			s.decoder.decode(p)
			failed := p.err != nil
			s.decoded <- p // has room for all
			if failed {
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *stages) hash() {
	for p := range s.decoded {
		s.decoder.sum(p)
		s.hashed <- p
	}
}

// next implements source.
func (s *stages) next() (*Piece, error) {
	select {
	case p := <-s.hashed:
		return p, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// end waits until nothing is decoded any more, and releases what nobody took.
// The context is done by then.
func (s *stages) end() {
	s.work.Wait()
	for range len(s.hashed) {
		(<-s.hashed).Release()
	}
}

// oneByOne does the work of the stages in the goroutine that reads the tar.
type oneByOne struct {
	decoder *decoder
	free    chan *Piece
}

func (s oneByOne) next() (*Piece, error) {
	p := <-s.free
	s.decoder.decode(p)
	s.decoder.sum(p)
	return p, nil
}

func (s oneByOne) end() {}
