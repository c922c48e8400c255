// SPDX-License-Identifier: Apache-2.0

// Package cache keeps blobs by digest in a directory that is an OCI image layout, so that
// skopeo, crane and others can read it.
//
// Most callers want [Open], [Cache.Keep] around a stream that they read, and later
// [Cache.Blob]:
//
//	c, err := cache.Open(ctx, dir)
//	…
//	defer c.Close()
//	blob = c.Keep(ctx, desc, blob)       // or Resume; in the cache once it was read to io.EOF
//	…
//	blob, err := c.Blob(desc)            // cache.ErrMiss: fetch it
//	err = c.Tag(ctx, "docker.io/library/alpine:3.20", root)
//
// A blob is verified when it is written, and again when it is read: a damaged one is a miss
// and is removed. Several processes may use a cache at once.
//
// # On disk
//
//	oci-layout                {"imageLayoutVersion":"1.0.0"}
//	index.json                the tagged manifests, by org.opencontainers.image.ref.name
//	blobs/<algorithm>/<hex>   verified blobs
//	lock                      flocked while index.json is changed
//	users                     flocked by processes that use or prune the cache
//	.tmp-*                    a temporary file of a process that has flocked it, else rubbish
//	.partial-<algorithm>-<hex>
//	                          the beginning of a blob of 1 MiB or more, see [Cache.Resume]; flocked
//	                          by the process that goes on with it
//	.partial-….json           {"boot":…,"size":…,"digest":…}: how many first bytes of that file were
//	                          synced, and their digest; during that boot the whole file counts
//
// # Not promised
//
// What a manifest names may be missing. Nothing is removed to make room. A cache is
// not promised to work on NFS.
package cache
