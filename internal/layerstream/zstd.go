// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/layerctl/layerctl/internal/inflate"
)

// openZstd takes memory for the window that the first frame asks for. Those
// after it, which mostly are like it, must do with that, or with the 8 MiB
// that are always there.
func openZstd(o opening) (decompressor, error) {
	start, _ := o.in.Peek(o.in.Size()) // an error comes again
	window, known := windowOf(start)
	if !known {
		window = o.windows.most()
	}
	release, err := o.windows.take(o.ctx, window)
	if err != nil {
		return nil, err
	}
	window = max(window, smallWindow)
	f := &frames{in: o.in}
	z, err := zstd.NewReader(f,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		release()
		return nil, err
	}
	return &zstdFrames{plainReader{Reader: zstdReader{z, window}, opening: o}, f, z, release}, nil
}

// zstdFrames can pause between frames: inside one the state is nobody's to have.
type zstdFrames struct {
	plainReader
	frames  *frames
	z       *zstd.Decoder
	release func()
}

func (f *zstdFrames) close() {
	f.z.Close()
	f.release()
}

func (f *zstdFrames) pause() { f.frames.stop = true }

// place is true behind the last byte of a frame, once that was handed out.
func (f *zstdFrames) place() (in int64, state []byte, ok bool) {
	return offsetOf(f.blob, f.in), nil, f.frames.stopped
}

// Next decompresses the next piece, and begins the frame at which it has paused.
// The piece is empty where the one before it ended with its frame.
func (f *zstdFrames) Next(b *inflate.Buffer) ([]byte, error) {
	f.frames.stopped = false
	data, err := f.plainReader.Next(b)
	if f.frames.stopped {
		f.frames.stop, f.err = false, f.z.Reset(f.frames)
		err = f.err
	}
	return data, err
}

// zstdReader says which window was exceeded.
type zstdReader struct {
	*zstd.Decoder
	window int64
}

func (r zstdReader) Read(p []byte) (int, error) {
	n, err := r.Decoder.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = &FormatError{Offset: -1, Reason: fmt.Sprintf("a zstd frame or block is larger than the window of %d bytes", r.window)}
	}
	return n, err
}
