// SPDX-License-Identifier: Apache-2.0

// Package export writes images as tar files: archives that engines load, with
// blobs from the cache or the registry or compressed again from a store, and
// root filesystems.
//
//	done, err := export.Write(ctx, to, source, fetcher, export.Options{Format: export.Tar})
//
// The same image and options give the same bytes.
package export
