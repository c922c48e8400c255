// SPDX-License-Identifier: Apache-2.0

// Package cacheserver serves a cache as a registry that can only be read: the
// pull half of the distribution specification, with ranges and referrers.
//
//	http.Serve(listener, cacheserver.New(kept, cacheserver.Options{}))
//
// # Promises
//
// Nothing is served but what the cache has: names are looked up in its index and
// digests among its blobs, and no part of a request becomes a path. A blob that is
// sent whole is verified while it is, and its last bytes are held back until its
// digest holds: a damaged one ends in a broken connection, and is gone after it. A
// part of a blob is not verified; who asked for it has the digest. Requests have
// bounds, and a connection that takes nothing for a minute is cut.
//
// # Not promised
//
// A tag is what it was when the cache saw it last. What an index names may be
// missing: a client asks the next mirror, or the registry. Whoever may ask may ask
// for all that is there. There is no catalog and no list of tags.
//
// The specification is github.com/opencontainers/distribution-spec, version 1.1.
package cacheserver
