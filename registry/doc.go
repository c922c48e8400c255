// SPDX-License-Identifier: Apache-2.0

// Package registry turns an image reference into verified manifest bytes and
// blob streams, from a registry over HTTPS, an OCI image layout or an archive.
//
// Most callers want [Parse], [Client.Open] and then the methods of [Source]:
//
//	ref, err := registry.Parse("alpine:3.20")
//	…
//	source, err := registry.New(registry.Options{}).Open(ctx, ref)
//	…
//	defer source.Close()
//	desc, raw, err := source.Root(ctx)    // index or manifest, exact bytes
//	…
//	blob, err := source.Blob(ctx, layer)  // io.EOF only if size and digest hold
//
// Every byte is counted and hashed while it is read: the bytes that
// [Source.Manifest], [Source.Config] and a [Source.Blob] that is read to its io.EOF
// return are those that the descriptor names, whoever sent them. The registry must be
// trusted only for the digest that a tag stands for.
//
// # Requests
//
// No ping is sent first. Where a request is answered by 401 it is sent once more with
// credentials or an anonymous token, and what that needed is remembered for the host.
// Nothing falls back from https to http but a registry on this machine; see
// [Options.PlainHTTP].
//
// # Broken and slow connections
//
// A blob whose response breaks off is continued at the same byte, from the registry
// or one of its mirrors. With [Options.Ranges] a large blob is fetched as ranges,
// several at a time over HTTP/1.1, each on its own connection, and read in order;
// [Options.LimitRate] bounds all of them together. Content-Range and ETag of the
// answers must agree with each other, and the digest decides in the end.
//
// # Pushing
//
// A [Destination] sends blobs and manifests to a repository. It sends no blob that is
// there, has the registry mount a blob that another repository has, continues an upload
// that breaks off at the byte up to which the registry has it, and reads manifests back.
//
// # Not promised
//
// The package decodes no image manifest and chooses no platform: it knows
// bytes and descriptors. It keeps nothing on disk.
package registry
