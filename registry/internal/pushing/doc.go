// SPDX-License-Identifier: Apache-2.0

// Package pushing sends manifests and blobs to a repository of a registry, as
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
// has it.
//
// # An upload
//
// Before a blob is sent the registry is asked whether it has it, and, where the
// caller knows of another repository there that has it, to mount it from that.
// A small blob is sent whole with the request that ends the upload, a large one
// before that. When a connection breaks, the registry is asked how much it has,
// and the upload goes on there; where it has kept nothing, the upload begins
// anew, in ever smaller chunks, each of which it takes whole or not at all.
//
// The last 2 MiB of what was read are kept, so that who reads from another
// registry need not fetch them again. What lies further back is read anew from
// the beginning.
//
// No byte is believed: a source that does not verify ends the upload before its
// last byte is sent, and the registry is told the digest.
package pushing
