// SPDX-License-Identifier: Apache-2.0

// Package archive writes images as tar files that other programs can load, OCI archives
// and Docker archives, and trees of files as a tar. The caller provides the blobs and
// files.
//
// Most callers want [WriteOCI], or [WriteDocker] for programs that read only the old form
// of "docker save":
//
//	contents := archive.Contents{Root: desc, Images: []archive.Image{image}}
//	err := archive.WriteOCI(ctx, w, blobs, contents, archive.Options{Name: "docker.io/library/alpine:3.20", Tag: "3.20"})
//
// A [TreeWriter] writes a root filesystem, path by path.
//
// # Content
//
// An OCI archive is a tar of an OCI image layout,
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md:
//
//	oci-layout, index.json
//	manifest.json            of a single image, so that Docker of any version loads it
//	blobs/<algorithm>/<hex>  indexes, manifests, configs, layers, each once
//
// index.json has names like those of containerd and Docker: the annotation
// io.containerd.image.name has the whole name, and org.opencontainers.image.ref.name the
// tag.
//
// A Docker archive is specified in
// https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md:
//
//	manifest.json            names, the config's file, the layers' files, the lowest first
//	repositories             if there is a name
//	<hex>.json               the config's exact bytes; its digest is the image's id
//	blobs/<algorithm>/<hex>  the layers, as they are compressed, each once
//
// # Promises
//
// The same contents and options give the same bytes. A blob that does not match its
// descriptor is an [ErrMismatch]: nothing is written after it, so that the archive lacks
// its end. Only the documents are kept in memory, and nothing is written twice, so that
// the archive may be written into a pipe.
//
// Not promised: that all programs that load the archive can read each compression. Docker
// 20.10 cannot read zstd.
package archive
