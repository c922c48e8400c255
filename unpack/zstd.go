// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is the memory that a frame may ask for. RFC 8878 recommends 8 MiB
// at least; zstd --ultra and --long=27 take 128 MiB.
const maxWindow = 128 << 20

func openZstd(in io.Reader) (decompressor, error) {
	z, err := zstd.NewReader(in,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return &plainReader{Reader: z, free: z.Close}, nil
}
