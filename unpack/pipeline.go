// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"github.com/layerctl/layerctl/internal/inflate"
)

// pipeline is what works beside the caller's goroutine, which reads the tar and
// makes the names:
//
//	read the blob, and verify it | decompress | hash for the diffID | names | small files
//
// The last stage is a [writer]. Each stage passes on buffers that come back from
// the last one, so that none gets further ahead than these allow. Errors travel
// with the pieces: they arrive in order, behind the data in front of them.
type pipeline struct {
	buffers  *Buffers
	blob     *blobReader
	ahead    *ahead // reads the blob; nil where the decoder does
	decoder  *decoder
	parallel bool

	decoded, hashed chan piece
	free            chan *inflate.Buffer

	// The reading ends after the decoding: when nothing is decoded any more,
	// the blob may have to be read on, to see what its reader says at the end.
	reading, decoding     sync.WaitGroup
	stopAll, stopDecoding context.CancelFunc
	decodingCtx           context.Context //nolint:containedctx // of one call of Layer
}

const (
	// pieceCount is one piece for each stage, and one on its way: small files and
	// large ones come in bursts. Two more gain 2 % where one layer is alone.
	pieceCount = 6
	// smallBlob is what is unpacked before goroutines would pay.
	smallBlob = 1 << 20
)

// startPipeline starts to read the blob. A small one is not worth a goroutine,
// and with one processor only the network is: all else would share it.
func startPipeline(ctx context.Context, blob io.Reader, size int64, o Options) *pipeline {
	p := &pipeline{buffers: o.Buffers, blob: &blobReader{r: blob}}
	ctx, p.stopAll = context.WithCancel(ctx)
	p.decodingCtx, p.stopDecoding = context.WithCancel(ctx)
	if o.Serial || 0 < size && size < smallBlob {
		return p
	}
	p.parallel = runtime.GOMAXPROCS(0) > 1
	p.ahead = newAhead(ctx, p.buffers)
	p.blob.r = p.ahead
	p.reading.Go(func() { p.ahead.run(blob) })
	return p
}

// start is the source of d's pieces.
func (p *pipeline) start(d *decoder) source {
	p.decoder = d
	if !p.parallel {
		return d
	}
	p.decoded, p.hashed = make(chan piece, pieceCount), make(chan piece, pieceCount)
	p.free = make(chan *inflate.Buffer, pieceCount)
	for range pieceCount {
		p.free <- p.buffers.piece()
	}
	p.decoding.Go(func() { p.decodeAll(d) })
	p.decoding.Go(func() { p.hashAll(d) })
	return p
}

func (p *pipeline) decodeAll(d *decoder) {
	defer close(p.decoded)
	for {
		select {
		case b := <-p.free:
			next := d.decode(b)
			p.decoded <- next
			if next.err != nil {
				return
			}
		case <-p.decodingCtx.Done():
			return
		}
	}
}

func (p *pipeline) hashAll(d *decoder) {
	for next := range p.decoded {
		d.sum(next)
		p.hashed <- next
	}
}

// next is the stage of the files taking a piece.
func (p *pipeline) next(last piece) piece {
	if last.buf != nil {
		p.free <- last.buf
	}
	select {
	case next := <-p.hashed:
		return next
	case <-p.decodingCtx.Done():
		return piece{err: p.decodingCtx.Err()}
	}
}

// end stops what still works and waits for it. It returns what err really is:
// see [blobReader.settle]. last is the piece that was taken last.
func (p *pipeline) end(err error, last piece) error {
	if !errors.Is(err, ErrMalformed) {
		p.stopAll()
	}
	p.stopDecoding()
	p.decoding.Wait()
	if p.decoder != nil {
		p.decoder.in.close()
	}
	err = p.blob.settle(err)
	p.stopAll()
	p.reading.Wait()
	p.recycle(last)
	return err
}

// recycle keeps the memory that nobody uses any more; after an error some of it
// lies in the queues, and is left there.
func (p *pipeline) recycle(last piece) {
	if last.buf != nil {
		p.buffers.pieces.keep(last.buf)
	}
	for range len(p.free) {
		p.buffers.pieces.keep(<-p.free)
	}
	if p.ahead != nil {
		p.ahead.recycle(p.buffers)
	}
}
