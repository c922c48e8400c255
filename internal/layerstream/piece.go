// SPDX-License-Identifier: Apache-2.0

package layerstream

import "github.com/layerctl/layerctl/internal/inflate"

const (
	// pieceSize is what is decompressed and hashed at a time. It and its window
	// stay in a second-level cache.
	pieceSize = 256 << 10
	// pieceCount is one piece for each stage, and one on its way: small files and
	// large ones come in bursts. Two more gain 2 % where one layer is alone.
	pieceCount = 6
)

// Piece is a part of the tar, or the error that came in its place. It has one
// owner, who calls Release once, when nothing of the data is needed any more.
type Piece struct {
	buf  *inflate.Buffer // nil before the first use: a short tar has few pieces
	free chan<- *Piece   // has room for all pieces of the stream
	data []byte          // in buf
	read int64           // how much of the blob it took, from the start
	err  error           // in place of data
	mark *Mark           // of the place before data, if there is one
	// begun is a piece of the tar in front of what is decompressed; proof is the state
	// that the tar's digest had behind the last of these, for the piece that follows.
	begun bool
	proof []byte
}

// Release gives the piece's memory back to the decompressor.
func (p *Piece) Release() {
	p.data, p.err, p.mark, p.begun, p.proof = nil, nil, nil, false, nil
	p.free <- p
}
