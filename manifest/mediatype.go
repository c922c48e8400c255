// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types, see
// https://distribution.github.io/distribution/spec/manifest-v2-2/.
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

// OCI's layers that must not be pushed, deprecated since image-spec 1.1.
const (
	ociForeign     = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	ociForeignGzip = ociForeign + "+gzip"
	ociForeignZstd = ociForeign + "+zstd"
)

// Compression is how a layer's tar stream is packed.
type Compression int

// The compressions of layers.
const (
	Uncompressed Compression = iota
	Gzip
	Zstd
)

// String is the suffix that OCI media types have for it.
func (c Compression) String() string { return [...]string{"none", "gzip", "zstd"}[c] }

// layerTypes are all media types of file system layers.
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

// CompressionOf tells how a layer of the media type is packed. Its error, for
// what is no file system layer, is an [ErrUnsupported].
func CompressionOf(mediaType string) (Compression, error) {
	c, ok := layerTypes[mediaType]
	switch {
	case !ok && isEROFS(mediaType):
		// A kernel believes what such an image says of itself: it is not mounted.
		return 0, unsupported{fmt.Errorf("media type %q is an EROFS filesystem, and layers are unpacked from tars only", mediaType)}
	case !ok && isEncrypted(mediaType):
		return 0, unsupported{fmt.Errorf("media type %q is encrypted, and no keys are taken here", mediaType)}
	case !ok:
		return 0, unsupported{fmt.Errorf("media type %q is no file system layer", mediaType)}
	}
	return c, nil
}

// isEROFS says that a layer is a filesystem that is ready to be mounted, as
// "application/vnd.erofs+zstd" is.
func isEROFS(mediaType string) bool { return strings.Contains(mediaType, "erofs") }

// isEncrypted says that a layer was encrypted, as ocicrypt does it.
func isEncrypted(mediaType string) bool { return strings.HasSuffix(mediaType, "+encrypted") }

// IsForeign says that a layer of the media type may be missing in registries:
// its "urls" say where it is.
func IsForeign(mediaType string) bool {
	return strings.Contains(mediaType, ".foreign.") || strings.Contains(mediaType, ".nondistributable.")
}

// IsIndex says that the media type is that of an index or manifest list.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == DockerManifestList
}

// IsManifest says that the media type is that of a manifest of OCI or of
// Docker's schema 2.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == DockerManifest
}
