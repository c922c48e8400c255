// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"fmt"
	"io"

	"github.com/layerctl/layerctl/internal/inflate"
)

// begun gives out the tar in front of a mark, where that was kept, and then what is
// decompressed from the mark on. Nothing of the blob is asked for before.
type begun struct {
	tar   io.Reader
	left  int64  // of it
	state []byte // of the tar's digest behind it; nil once a piece has it

	open   func() (decompressor, error)
	behind decompressor // nil before it was opened
	paused bool         // before that
}

// tell says of the piece that comes next which side of the mark it is on.
func (b *begun) tell(p *Piece) {
	if b == nil {
		return
	}
	if p.begun = b.left > 0; !p.begun {
		p.proof, b.state = b.state, nil
	}
}

// Next implements decompressor. Its error is [ErrMark] where less was kept than the
// mark knows of.
func (b *begun) Next(to *inflate.Buffer) ([]byte, error) {
	if b.left == 0 {
		return b.next(to)
	}
	mem := to.Bytes()
	n, err := io.ReadFull(b.tar, mem[:min(int64(len(mem)), b.left)])
	b.left -= int64(n)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMark, err)
	}
	return mem[:n], nil
}

func (b *begun) next(to *inflate.Buffer) (data []byte, err error) {
	if b.behind == nil {
		if b.behind, err = b.open(); err != nil {
			return nil, err
		}
		if b.paused {
			b.behind.pause()
		}
	}
	return b.behind.Next(to)
}

func (b *begun) pause() {
	if b.paused = true; b.behind != nil {
		b.behind.pause()
	}
}

func (b *begun) place() (in int64, state []byte, ok bool) {
	if b.behind == nil {
		return 0, nil, false
	}
	return b.behind.place()
}

func (b *begun) close() {
	if b.behind != nil {
		b.behind.close()
	}
}
