// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kind is the kind of a document.
type Kind int

// The kinds.
const (
	KindUnknown  Kind = iota // is returned only with an error
	KindIndex                // OCI index or Docker manifest list
	KindImage                // OCI manifest or Docker schema 2, of a container image
	KindArtifact             // a manifest of anything else: chart, signature, attestation
)

// String returns the name of the kind.
func (k Kind) String() string { return [...]string{"unknown", "index", "image", "artifact"}[k] }

// Classify returns the kind of a document by the media type as which it was served, "" if
// that is not known, and by its content. If they contradict each other, the error is an
// [ErrMalformed]. For schema 1 and other manifests of none of these kinds it is an
// [ErrUnsupported].
func Classify(mediaType string, raw []byte) (Kind, error) {
	t, err := outline(raw, mediaType)
	switch {
	case err != nil:
		return KindUnknown, fmt.Errorf("classify manifest: %w", err)
	case IsIndex(t):
		return KindIndex, nil
	}
	m, err := ParseManifest(raw, mediaType)
	switch {
	case err != nil:
		return KindUnknown, fmt.Errorf("classify manifest: %w", err)
	case m.Artifact() != "":
		return KindArtifact, nil
	}
	return KindImage, nil
}

// shape has the fields by which documents are told apart.
type shape struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Manifests     json.RawMessage `json:"manifests"`
	Config        json.RawMessage `json:"config"`
	Layers        json.RawMessage `json:"layers"`
	FSLayers      json.RawMessage `json:"fsLayers"`
	Blobs         json.RawMessage `json:"blobs"`
}

// outline returns the media type of a document. It refuses a document that does not have
// exactly the form of this type.
func outline(raw []byte, mediaType string) (string, error) {
	var s shape
	if err := decode(raw, MaxManifestSize, &s); err != nil {
		return "", err
	}
	t, err := AgreeMediaType(mediaType, s.MediaType)
	if err != nil {
		return "", err
	}
	index := s.Manifests != nil
	image := s.Config != nil || s.Layers != nil
	switch {
	case s.SchemaVersion == 1 || t == dockerSchema1 || t == dockerSchema1Signed:
		return "", unsupported{errors.New("is a Docker schema 1 manifest; push the image again with a current tool")}
	case t == ociArtifactManifest:
		return "", unsupported{fmt.Errorf("is an artifact manifest, %s, which OCI gave up", t)}
	case t != "" && !IsIndex(t) && !IsManifest(t):
		return "", unsupported{fmt.Errorf("has the media type %q, which is no index and no manifest", clip(t))}
	case s.SchemaVersion != 2:
		return "", malformed{fmt.Errorf("has schemaVersion %d, not 2", s.SchemaVersion)}
	case s.FSLayers != nil || s.Blobs != nil || index && image:
		return "", malformed{errors.New("mixes the fields of different kinds of manifest (CVE-2021-41190)")}
	case !index && !image:
		return "", malformed{errors.New("has neither manifests nor config and layers")}
	case t == "" && index:
		return ocispec.MediaTypeImageIndex, nil
	case t == "":
		return ocispec.MediaTypeImageManifest, nil
	case IsIndex(t) != index:
		return "", malformed{fmt.Errorf("is called %s but has the fields of the other kind", t)}
	}
	return t, nil
}
