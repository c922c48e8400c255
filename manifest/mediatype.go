// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types, see
// https://distribution.github.io/distribution/spec/manifest-v2-2/.
// ociArtifactManifest was a draft of OCI's.
const (
	DockerManifestList  = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerManifest      = "application/vnd.docker.distribution.manifest.v2+json"
	DockerConfig        = "application/vnd.docker.container.image.v1+json"
	DockerLayer         = "application/vnd.docker.image.rootfs.diff.tar"
	DockerLayerGzip     = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	DockerLayerZstd     = "application/vnd.docker.image.rootfs.diff.tar.zstd"
	DockerForeign       = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	DockerForeignGzip   = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	dockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	ociArtifactManifest = "application/vnd.oci.artifact.manifest.v1+json"
)

// OCI's media types of layers that must not be pushed, deprecated since image-spec 1.1.
const (
	ociForeign     = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	ociForeignGzip = ociForeign + "+gzip"
	ociForeignZstd = ociForeign + "+zstd"
)

// Compression is the compression of a layer's tar stream.
type Compression int

// The compressions of layers.
const (
	Uncompressed Compression = iota
	Gzip
	Zstd
)

// String returns "gzip" or "zstd", the suffixes of OCI's media types, or "none".
func (c Compression) String() string { return [...]string{"none", "gzip", "zstd"}[c] }

// layerTypes has all media types of layers that are unpacked.
var layerTypes = map[string]Compression{
	ocispec.MediaTypeImageLayer:     Uncompressed,
	ocispec.MediaTypeImageLayerGzip: Gzip,
	ocispec.MediaTypeImageLayerZstd: Zstd,
	ociForeign:                      Uncompressed,
	ociForeignGzip:                  Gzip,
	ociForeignZstd:                  Zstd,
	DockerLayer:                     Uncompressed,
	DockerLayerGzip:                 Gzip,
	DockerLayerZstd:                 Zstd,
	DockerForeign:                   Uncompressed,
	DockerForeignGzip:               Gzip,
}

// CompressionOf returns the compression of a layer by its media type. For what is no tar
// of a file system the error is an [ErrUnsupported].
func CompressionOf(mediaType string) (Compression, error) {
	c, ok := layerTypes[mediaType]
	switch {
	case !ok && isEROFS(mediaType):
		// The kernel would trust such a filesystem, whose author is not trusted.
		return 0, unsupported{fmt.Errorf("media type %q is an EROFS filesystem, and layers are unpacked from tars only", mediaType)}
	case !ok && isEncrypted(mediaType):
		return 0, unsupported{fmt.Errorf("media type %q is encrypted, and no keys are taken here", mediaType)}
	case !ok:
		return 0, unsupported{fmt.Errorf("media type %q is no file system layer", mediaType)}
	}
	return c, nil
}

// isEROFS reports whether a layer is a filesystem that could be mounted as it is, such as
// "application/vnd.erofs+zstd".
func isEROFS(mediaType string) bool { return strings.Contains(mediaType, "erofs") }

// isEncrypted reports whether a layer is encrypted, in the way of ocicrypt.
func isEncrypted(mediaType string) bool { return strings.HasSuffix(mediaType, "+encrypted") }

// IsForeign reports whether a layer of the media type may be missing in registries, so
// that it has to be fetched from the urls of its descriptor.
func IsForeign(mediaType string) bool {
	return strings.Contains(mediaType, ".foreign.") || strings.Contains(mediaType, ".nondistributable.")
}

// IsIndex reports whether the media type is that of an OCI index or a Docker manifest list.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == DockerManifestList
}

// IsManifest reports whether the media type is that of an OCI manifest or of Docker's
// schema 2.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == DockerManifest
}
