// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/layer"
	"github.com/opencontainers/go-digest"
)

// Result says what a layer was and what it needs from the layers below it.
// The slices are in the order of their paths.
type Result struct {
	// DiffID is the digest of the whole uncompressed tar.
	DiffID digest.Digest
	// Compression is that of the blob: "gzip", "zstd" or "" for none.
	Compression string
	// CompressedSize and Size are the lengths of the blob and of the tar in bytes.
	CompressedSize, Size int64
	// Entries is the number of tar entries, Files that of regular files made,
	// Content their bytes.
	Entries, Files, Content int64
	layer.Facts
	// Notes count what was not unpacked as the tar says, sorted by their keys.
	Notes []Note
}

// Note counts one kind of leniency.
type Note struct {
	// Key is a stable word for the kind, one of the Note constants of package layer.
	Key string
	// Count is how often that happened, Example the first path.
	Count   int64
	Example string
}
