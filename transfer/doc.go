// SPDX-License-Identifier: Apache-2.0

// Package transfer copies images, between registries, OCI image layouts and
// archives, as they are: manifests and blobs keep their bytes and digests.
//
//	from, err := registry.Parse("docker.io/library/alpine:3.20")
//	to, err := registry.Parse("registry.example.com/mirror/alpine:3.20")
//	done, err := transfer.Copy(ctx, client, from, to, transfer.Options{})
//
// All platforms of an index are copied, or those that are wanted. What is there
// is not sent, what another repository of the same registry has is mounted, and
// all else goes from one to the other as it comes: nothing is kept on this
// machine, and some 2 MiB of each blob on its way in memory. The name comes
// last: whoever asks for it finds all of the image or what was there before.
//
// # Promises
//
// Each blob is verified before its last byte is sent, and each manifest read
// back from a registry. A layout is changed as package cache does it, one blob
// after the other and durable; an archive appears, or is replaced, when all of
// it is on the disk.
package transfer
