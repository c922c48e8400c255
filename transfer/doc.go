// SPDX-License-Identifier: Apache-2.0

// Package transfer copies images between registries, OCI image layouts and archives.
// Manifests and blobs keep their bytes and digests, unless a conversion is asked for.
//
//	from, err := registry.Parse("docker.io/library/alpine:3.20")
//	to, err := registry.Parse("registry.example.com/mirror/alpine:3.20")
//	done, err := transfer.Copy(ctx, client, from, to, transfer.Options{})
//
// All platforms of an index are copied, or those that are wanted. A blob that the
// destination has is not sent; one that another repository of the same registry has is
// mounted from there. All others are sent while they are read: nothing is kept on this
// machine's disk, and about 2 MiB of each blob in memory. Tags are set last, so that a tag
// always stands for a whole image, the old or the new one.
//
// # Promises
//
// Each blob is verified before its last byte is sent, and each manifest is read back from
// a registry. A layout is written by package cache, each blob durably. An archive appears,
// or is replaced, when all of it is synced.
package transfer
