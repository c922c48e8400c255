// SPDX-License-Identifier: Apache-2.0

// Package cache keeps blobs by digest in a directory that is itself an OCI
// image layout, so that skopeo, crane and others can read it.
//
// Most callers want [Open], [Cache.Keep] around a stream that they read
// anyway, and later [Cache.Blob]:
//
//	c, err := cache.Open(ctx, dir)
//	…
//	defer c.Close()
//	blob = c.Keep(ctx, desc, blob)       // or Resume; in the cache once it was read to io.EOF
//	…
//	blob, err := c.Blob(desc)            // cache.ErrMiss: fetch it
//	err = c.Tag(ctx, "docker.io/library/alpine:3.20", root)
//
// What is in blobs/ was verified when it was written, and is again when it is
// read: damage is a miss, and the damaged file is gone after it. Many
// processes may use one cache.
//
// # On disk
//
//	oci-layout                {"imageLayoutVersion":"1.0.0"}
//	index.json                what was tagged, by org.opencontainers.image.ref.name
//	blobs/<algorithm>/<hex>   verified blobs
//	lock                      held while index.json is changed
//	.tmp-*                    in progress while a flock(2) is held on it, else rubbish
//	.partial-<algorithm>-<hex>
//	                          the beginning of a blob of 1 MiB or more, see [Cache.Resume]; flocked
//	                          by who goes on with it
//	.partial-….json           {"boot":…,"size":…,"digest":…}: its first bytes, which were on the
//	                          disk by then, and their digest; in the same boot all of it counts
//
// # Not promised
//
// A blob that is there is not complete as an image: what it names may be
// missing. Nothing is ever evicted. Not on NFS.
package cache
