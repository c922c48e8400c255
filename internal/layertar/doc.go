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
//   - a sparse file, of GNU's type 'S' or in one of the three forms for PAX, is
//     flagged, and its holes can be had as such; of an unknown form it is
//     refused;
//   - a time that is a number, though not one as POSIX writes it (".5", "1e9"),
//     is read and flagged;
//   - a truncated stream is refused with the name of the entry and the byte it
//     began at;
//   - memory is bounded: one header, and 1 MiB for what extends it and for a
//     sparse map.
//
// Whether data follows an entry is decided by its type alone, as archive/tar and
// GNU tar do it: none follows a link, a directory, a device or a FIFO, whatever
// size it announces. The size is dropped, and flagged. Where data follows all
// the same, it is no header, and the tar malformed.
//
// NOT promised: that a name is safe to use. Names come byte for byte.
package layertar
