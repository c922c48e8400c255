// SPDX-License-Identifier: Apache-2.0

// Package export writes an image as a tar file: an archive that engines load, or the
// root filesystem. The blobs of an archive come from the cache or the registry, or
// are layers of a store, compressed again.
//
//	done, err := export.Write(ctx, to, source, fetcher, export.Options{Format: export.Tar})
//
// The same image and options give the same bytes.
package export
