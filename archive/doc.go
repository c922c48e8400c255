// SPDX-License-Identifier: Apache-2.0

// Package archive writes images as tar files that other programs load, OCI
// archives and Docker archives, and trees of files as a tar. It does nothing
// else: where blobs and files come from is its caller's affair.
//
// Most callers want [WriteOCI], and [WriteDocker] for programs that know only
// what "docker save" has always written:
//
//	contents := archive.Contents{Root: desc, Images: []archive.Image{image}}
//	err := archive.WriteOCI(ctx, w, blobs, contents, archive.Options{Name: "docker.io/library/alpine:3.20", Tag: "3.20"})
//
// A [TreeWriter] writes a root filesystem, path by path.
//
// # What is in them
//
// An OCI archive is a tar of an OCI image layout,
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md:
//
//	oci-layout, index.json
//	manifest.json            of a single image, so that Docker of any version loads it
//	blobs/<algorithm>/<hex>  indexes, manifests, configs, layers, each once
//
// index.json gives names as containerd and Docker do: the annotation
// io.containerd.image.name has the whole one and
// org.opencontainers.image.ref.name the tag.
//
// A Docker archive is specified in
// https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md:
//
//	manifest.json            names, the config's file, the layers' files, the lowest first
//	repositories             where there is a name
//	<hex>.json               the config's exact bytes; its digest is the image's id
//	blobs/<algorithm>/<hex>  the layers, as they are compressed, each once
//
// # Promises
//
// The same contents and options give the same bytes. What is written before an
// entry's content is known to be right is followed by nothing: a blob that is
// not what its descriptor says ends the archive short of its end, with
// [ErrMismatch]. Nothing is kept in memory but the documents, and nothing is
// written twice, so that the archive may go into a pipe.
//
// Not promised: that a program that loads the archive knows each compression.
// Docker 20.10 does not know zstd.
package archive
