// SPDX-License-Identifier: Apache-2.0

// Package inflate decompresses gzip streams (RFC 1951, RFC 1952) fast.
//
// Most callers want NewReader and Next, which decodes straight into buffers
// that a pipeline passes on and gives back:
//
//	z := inflate.NewReader(blob)
//	for {
//		b := <-free // a *Buffer
//		data, err := z.Next(b)
//		if err == io.EOF {
//			return nil
//		} else if err != nil {
//			return err
//		}
//		full <- filled{b, data}
//	}
//
// A Reader is an io.Reader and an io.WriterTo too.
//
// # Promises
//
// For every input, the bytes are those of compress/gzip, and damage is of the
// same class and is found at the same byte of output and at the same offset of
// input, with these differences, all of them wanted:
//
//   - Zero bytes up to the end of the input are padding and not an error. Any
//     other byte behind a member that does not begin another one (1f 8b 08) is
//     ErrTrailing; compress/gzip calls either an invalid header, or an early
//     end when fewer than ten bytes are left.
//   - An empty input is io.ErrUnexpectedEOF, not an empty stream.
//   - The values in headers are checked but not kept.
//
// Errors of the source pass through as they are, after all data in front of
// them. io.EOF means that every member, its CRC-32 and its length were right
// and that the source was read to its end.
//
// A Reader takes about 190 KiB of memory for any stream, and Read and WriteTo a
// buffer of 300 KiB more; after Reset all of it is used again.
//
// # Not promised
//
// A Reader reads ahead, by up to 128 KiB, and may wait for input before it hands
// out what it could decode already: it is for files and downloads, not for a
// conversation. After an error other than io.EOF it is not known how far the
// source was read; a caller that must see the end of the source, and its error,
// reads the rest. The size of the output is not bounded: the caller counts.
//
// # Forms
//
// With the build tag purego, and on machines that cannot load words from any
// address, the core checks every index; elsewhere it uses package unsafe. On
// 32-bit machines the core has a bit buffer of 32 bits.
package inflate
