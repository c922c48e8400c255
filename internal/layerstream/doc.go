// SPDX-License-Identifier: Apache-2.0

// Package layerstream makes of a layer's blob the tar that is in it, piece by
// piece: it finds out how the blob is compressed, decompresses it, hashes the
// tar for the diffID, and holds it to a size.
//
// Reading the blob, decompressing and hashing are stages, each in a goroutine
// of its own, that pass pieces of 256 KiB on. A small blob, and any blob on one
// processor, is worked on by the caller's goroutine, save the reading.
//
// # Who owns a piece
//
// A [Piece] has one owner at a time, and the owner releases it: the stages, then
// the [Stream] for as long as the tar is read from it, then whoever takes pieces
// over by [Stream.HandOver]. A released piece goes back to the decompressor.
// There are so many pieces for a stream and no more, so that a stage which gets
// ahead waits for the last one.
//
// # Errors
//
// What is wrong with the data is a [*FormatError], what is over a limit a
// [*LimitError]; an error of the blob's reader is wrapped, one of the context
// comes as it is. Before data is called damaged the blob is read to its end: a
// reader that verifies a digest tells there whether the transfer was at fault.
package layerstream
