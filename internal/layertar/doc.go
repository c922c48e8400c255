// SPDX-License-Identifier: Apache-2.0

// Package layertar reads the tar stream of an image layer, entry by entry.
//
// Most callers want [NewReader], [Reader.Next] and Read, as in archive/tar:
//
//	r := layertar.NewReader(stream)
//	for {
//		h, err := r.Next()
//		if err == io.EOF {
//			break
//		}
//		…
//	}
//	padded, err := r.Drain()
//
// It reads what archive/tar reads (V7, ustar, star, GNU, PAX) and says of each
// entry the same, with these differences, which a layer needs:
//
//   - ids and sizes are 64-bit on every machine: on a 32-bit one archive/tar
//     reads the uid 2^32+5 as 5;
//   - a time that no int64 holds is clamped and flagged, not an error;
//   - global PAX headers are skipped unread, and one that stands between an
//     entry and its extended header does not part the two;
//   - a record or header that stands twice is flagged;
//   - an entry without content that announces some is refused, as are a
//     sparse map (flagged, never read) and a truncated stream, each with the
//     entry's name and the byte it began at;
//   - memory is bounded: one header, and 1 MiB for what extends it.
//
// NOT promised: that a name is safe to use. Names come byte for byte.
package layertar
