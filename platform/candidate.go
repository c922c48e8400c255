// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// BuildKit marks an attestation so in the index; see
// https://docs.docker.com/build/metadata/attestations/attestation-storage/.
const (
	annotationReferenceType = "vnd.docker.reference.type"
	typeAttestation         = "attestation-manifest"
)

// Docker's names for what OCI has too.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerSchema1  = "application/vnd.docker.distribution.manifest.v1+" // json or prettyjws
)

// noImage says why a candidate cannot be chosen whatever is wanted; empty
// where it can.
func noImage(d ocispec.Descriptor) string {
	p := d.Platform
	switch {
	case d.Annotations[annotationReferenceType] == typeAttestation:
		return "is an attestation, no image"
	case p != nil && (p.OS == "unknown" || p.Architecture == "unknown"):
		return "names its platform unknown: an attestation or other data, no image"
	case d.ArtifactType != "":
		return "is an artifact, no image: " + plainType(d.ArtifactType)
	}
	if strings.HasPrefix(d.MediaType, dockerSchema1) {
		return oldManifest
	}
	switch d.MediaType {
	case ocispec.MediaTypeImageManifest, dockerManifest:
		if p == nil {
			return noPlatform
		}
	case ocispec.MediaTypeImageIndex, dockerList:
		if p == nil {
			return "is an index itself, without a platform"
		}
	default:
		return "is no image: " + plainType(d.MediaType)
	}
	return ""
}

const (
	noPlatform  = "names no platform"
	oldManifest = "is a Docker schema 1 manifest; push the image again with a current tool"
)
