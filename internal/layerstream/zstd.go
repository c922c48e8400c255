// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
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
	z, err := zstd.NewReader(o.in,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		release()
		return nil, err
	}
	free := func() {
		z.Close()
		release()
	}
	return &plainReader{Reader: zstdReader{z, window}, free: free}, nil
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
