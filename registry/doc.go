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
// Every byte is counted and hashed while it is read: what [Source.Manifest],
// [Source.Config] and a [Source.Blob] read to its io.EOF return is what the
// descriptor names, whoever sent it. Only a tag's meaning is the registry's
// word.
//
// # Requests
//
// There is no ping. A request is sent, a 401 is answered once, and what was
// learnt is kept for the host. Nothing ever falls back from https to http;
// see [Options.PlainHTTP].
//
// # Broken and slow connections
//
// A blob whose response breaks goes on at the same byte, from whichever of the
// registry and its mirrors will send it. With [Options.Ranges] a large one is
// fetched as ranges, several at a time over HTTP/1.1, a connection each, and
// read in order all the same; [Options.LimitRate] is for all of them together.
// What hosts say of ranges, by Content-Range and ETag, is only believed where
// it fits, and the digest decides in the end.
//
// # Pushing
//
// A [Destination] sends blobs and manifests to a repository. What is there is not
// sent, what another repository of the registry has is mounted, an upload that
// breaks goes on where the registry had come to, and a manifest is read back.
//
// # Not promised
//
// The package decodes no image manifest and chooses no platform: it knows
// bytes and descriptors. It keeps nothing on disk.
package registry
