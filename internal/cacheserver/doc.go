// SPDX-License-Identifier: Apache-2.0

// Package cacheserver serves a cache as a read-only registry: by the part of the
// distribution specification that is for pulls, with ranges and referrers.
//
//	http.Serve(listener, cacheserver.New(kept, cacheserver.Options{}))
//
// # Promises
//
// Only the content of the cache is served: names are looked up in its index and digests
// among its blobs, and no part of a request but a valid digest becomes a path. A blob that
// is sent whole is verified meanwhile, and its last bytes are held back until its digest
// is known to be right: for a damaged blob the connection is broken, and the blob removed.
// A range of a blob is not verified, because only the client can, which has the rest.
// Requests are bounded, and a connection that takes nothing for a minute is closed.
//
// # Not promised
//
// A tag stands for what it stood for when the cache saw it last. What an index lists may be
// missing; clients then ask the next mirror or the registry. Every client that is let in may
// read all of the cache. There is no catalog, and no list of tags.
//
// The specification is github.com/opencontainers/distribution-spec, version 1.1.
package cacheserver
