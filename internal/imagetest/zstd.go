// SPDX-License-Identifier: Apache-2.0

package imagetest

// StoredZstd is a zstd frame of uncompressed blocks (RFC 8878, 3.1.1) that
// asks for a window of 2 to the power of log.
func StoredZstd(log int, data []byte) []byte {
	return AppendBlocks([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, byte(log-10) << 3}, data)
}

// AppendBlocks adds data to the header of a zstd frame, in uncompressed blocks.
func AppendBlocks(frame, data []byte) []byte {
	for {
		n := min(len(data), 128<<10)
		last := n == len(data)
		header := uint32(n) << 3
		if last {
			header |= 1
		}
		frame = append(frame, byte(header), byte(header>>8), byte(header>>16))
		frame = append(frame, data[:n]...)
		if data = data[n:]; last {
			return frame
		}
	}
}
