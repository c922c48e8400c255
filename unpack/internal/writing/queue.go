// SPDX-License-Identifier: Apache-2.0

// Package writing hands files that have their names to a goroutine which writes
// them, beside the one that reads the tar, and the pieces of the tar that they lie
// in behind them.
package writing

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/layerctl/layerctl/internal/layerstream"
)

// Queue takes files and pieces, in order, from one goroutine. A file may lie in
// the piece that is passed after it, which is released when it is written.
type Queue[File any] struct {
	write   func(File, error) error
	now     *batch[File]
	batches chan *batch[File]
	spare   chan *batch[File]
	work    sync.WaitGroup
	broken  atomic.Bool
	err     error // why broken; to be read when nothing is on its way
}

// batch is some files and then, where they are the last in it, the piece that
// they lie in.
type batch[File any] struct {
	files []File
	piece *layerstream.Piece
}

const (
	// batchFiles bounds the files that are open, and makes handing over cost
	// little beside making a file.
	batchFiles = 32
	// batchCount is one that is filled, one on its way, one that is worked on.
	batchCount = 3
)

var errBroken = errors.New("the writer has failed")

// Start begins the goroutine. It calls write for each file, with the error of an
// earlier one: then write only closes it, and returns that error.
func Start[File any](write func(f File, err error) error) *Queue[File] {
	w := &Queue[File]{write: write, batches: make(chan *batch[File], 1), spare: make(chan *batch[File], batchCount)}
	for range batchCount {
		w.spare <- new(batch[File])
	}
	w.now = <-w.spare
	w.work.Go(w.run)
	return w
}

func (w *Queue[File]) run() {
	for b := range w.batches {
		for _, f := range b.files {
			if w.err = w.write(f, w.err); w.err != nil {
				w.broken.Store(true)
			}
		}
		if b.piece != nil {
			b.piece.Release()
		}
		clear(b.files)
		*b = batch[File]{files: b.files[:0]}
		w.spare <- b
	}
}

// Put adds a file.
func (w *Queue[File]) Put(f File) {
	w.now.files = append(w.now.files, f)
	if len(w.now.files) == batchFiles {
		w.pass(nil)
	}
}

// pass hands over what there is, and the piece where no more of its files will
// come. One goroutine takes the batches in order, so it is done with those files
// when it comes to the piece.
func (w *Queue[File]) pass(p *layerstream.Piece) {
	w.now.piece = p
	w.batches <- w.now
	w.now = <-w.spare
}

// TakeOver owns a piece that the tar was read past.
func (w *Queue[File]) TakeOver(p *layerstream.Piece) error {
	w.pass(p)
	if w.broken.Load() {
		return errBroken
	}
	return nil
}

// Drain waits until all files that were put are written.
func (w *Queue[File]) Drain() error {
	if w == nil {
		return nil
	}
	w.pass(nil)
	for range batchCount - 1 {
		defer func(b *batch[File]) { w.spare <- b }(<-w.spare)
	}
	return w.err
}

// End waits for all files. Its error is of an earlier entry than any other.
func (w *Queue[File]) End() error {
	if w == nil {
		return nil
	}
	w.pass(nil)
	close(w.batches)
	w.work.Wait()
	return w.err
}
