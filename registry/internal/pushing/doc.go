// SPDX-License-Identifier: Apache-2.0

// Package pushing sends manifests and blobs to a repository of a registry, by the
// requests of
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
//
// # An upload
//
// Before a blob is sent, the registry is asked whether it has the blob. If the caller
// knows another repository of the registry that has it, the registry is then asked to
// mount it from there. A blob of at most 1 MiB is sent in the request that ends the
// upload, a larger one in requests before that. When a connection breaks, the registry
// is asked how much of the blob it has, and the upload goes on there. If it has kept
// nothing, the upload begins anew in chunks, which become smaller with each failure.
//
// The last 2 MiB that were read from the source are kept, so that they can be sent again
// without being fetched again. For bytes before those the source is opened anew.
//
// No wrong byte is published: if the source does not verify, the upload ends before the
// last byte is sent. The registry is told the digest and compares it, too.
package pushing
