// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/layerctl/layerctl/internal/layerstream"
	"github.com/layerctl/layerctl/layer"
)

// writer is the last stage: it gives files that have their names already
// their content and their attributes. The names are made by the goroutine that
// reads the tar, one after the other, for each may depend on all before it;
// what is in a file nobody asks until the layer is complete.
//
// It takes files that lie whole in one piece of the tar, and takes the pieces
// over, which it releases when their files are written.
// Files over several pieces are large, and written by who reads the tar: two
// goroutines would only take turns.
type writer struct {
	u       *unpacker // of which it only reads
	now     *batch
	batches chan *batch
	spare   chan *batch
	work    sync.WaitGroup
	broken  atomic.Bool
	err     error // why broken; to be read when work is over
}

// newFile is a file that was just made and is still open.
type newFile struct {
	fd       int
	entry    layer.Entry
	aboveGID uint32 // of its directory
	content  []byte // for the writer, in the buffer of its batch
}

// batch is some files and then, where they are the last in it, the piece that
// they lie in.
type batch struct {
	files []newFile
	piece *layerstream.Piece
}

const (
	// batchFiles bounds the files that are open, and makes handing over cost
	// little beside making a file.
	batchFiles = 32
	// batchCount is one that is filled, one on its way, one that is worked on.
	batchCount = 3
)

var errWriter = errors.New("the writer has failed")

func startWriter(u *unpacker) *writer {
	w := &writer{u: u, batches: make(chan *batch, 1), spare: make(chan *batch, batchCount)}
	for range batchCount {
		w.spare <- new(batch)
	}
	w.now = <-w.spare
	w.work.Go(w.run)
	return w
}

func (w *writer) run() {
	for b := range w.batches {
		for _, f := range b.files {
			w.write(f)
		}
		if b.piece != nil {
			b.piece.Release()
		}
		*b = batch{files: b.files[:0]}
		w.spare <- b
	}
}

// write completes one file, or only closes it where another one has failed.
func (w *writer) write(f newFile) {
	err := w.err
	if err == nil && len(f.content) > 0 {
		err = failed("write", f.entry.Path, w.u.disk.Write(f.fd, f.content))
	}
	if w.err = w.u.complete(f, err); w.err != nil {
		w.broken.Store(true)
	}
}

// takes says whether a file is one for the writer. Extended attributes may
// have to be noted, and notes come in order.
func (w *writer) takes(e layer.Entry) bool {
	return w != nil && len(e.Xattrs) == 0 && e.Size <= w.u.stream.Buffered()
}

func (w *writer) put(f newFile) {
	w.now.files = append(w.now.files, f)
	if len(w.now.files) == batchFiles {
		w.pass(nil)
	}
}

// pass hands over what there is, and the piece where no more of its files will
// come. One goroutine takes the batches in order, so it is done with those files
// when it comes to the piece.
func (w *writer) pass(p *layerstream.Piece) {
	w.now.piece = p
	w.batches <- w.now
	w.now = <-w.spare
}

// takeOver owns a piece that the tar was read past.
func (w *writer) takeOver(p *layerstream.Piece) error {
	w.pass(p)
	if w.broken.Load() {
		return errWriter
	}
	return nil
}

// end waits for all files. Its error is of an earlier entry than any other.
func (w *writer) end() error {
	if w == nil {
		return nil
	}
	w.pass(nil)
	close(w.batches)
	w.work.Wait()
	return w.err
}
