// SPDX-License-Identifier: Apache-2.0

// Package tarsize tells from a few bytes of a compressed layer how large its tar
// is. Nothing of that is verified: it is for plans, not for bounds.
package tarsize

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
)

// GzipTail is how many bytes the end of a gzip blob has that [Gzip] reads, and
// ZstdHead the beginning of a zstd blob.
const (
	GzipTail = 4
	ZstdHead = zstd.HeaderMaxSize
)

const (
	// block is what the size of every tar is a multiple of, and that of an empty
	// one two of them.
	block = 512
	// unlikely is how many times smaller than its tar no layer is, so that its
	// size did not pass 4 GiB, where gzip begins again.
	unlikely = 20
)

// Gzip is the size of what a gzip blob of so many bytes holds, by its last four
// bytes (RFC 1952, ISIZE). ok is false where that is none of a tar in one member:
// those of several members tell of the last, and beyond 4 GiB nothing is told.
func Gzip(tail []byte, blob int64) (size int64, ok bool) {
	if len(tail) != GzipTail {
		return 0, false
	}
	size = int64(binary.LittleEndian.Uint32(tail))
	return size, plausible(size, blob) && (size+1<<32)/max(blob, 1) >= unlikely
}

// Zstd is the same by a blob's first bytes (RFC 8878, Frame_Content_Size). ok is
// false where the frame does not say, and for what is cut into frames.
func Zstd(head []byte, blob int64) (size int64, ok bool) {
	var h zstd.Header
	if err := h.Decode(head); err != nil || !h.HasFCS || h.Skippable || h.FrameContentSize > 1<<62 {
		return 0, false
	}
	size = int64(h.FrameContentSize)
	return size, plausible(size, blob)
}

// plausible says that a tar may have that size: compression does not make it
// noticeably larger.
func plausible(size, blob int64) bool {
	return size >= 2*block && size%block == 0 && size+size/1000+2*block >= blob
}
