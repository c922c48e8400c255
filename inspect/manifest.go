// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
)

// kindAttestation is the kind of a manifest with attestations about another one.
const kindAttestation = "attestation"

// newManifest returns what an index says about one manifest; exact is its entry.
func newManifest(desc ocispec.Descriptor, exact json.RawMessage) Manifest {
	m := Manifest{
		Digest: desc.Digest, MediaType: desc.MediaType, Size: desc.Size,
		ArtifactType: desc.ArtifactType, Annotations: desc.Annotations,
		Created:    desc.Annotations[ocispec.AnnotationCreated],
		Descriptor: exact, entry: desc,
	}
	if desc.Platform != nil {
		p := newPlatform(*desc.Platform)
		m.Platform = &p
	}
	of, attestation := manifest.IsAttestation(desc)
	switch {
	case attestation:
		m.Kind, m.AttestationOf = kindAttestation, of
	case manifest.IsIndex(desc.MediaType):
		m.Kind = manifest.KindIndex.String()
	case desc.ArtifactType != "" || !manifest.IsManifest(desc.MediaType):
		m.Kind = manifest.KindArtifact.String()
	default:
		m.Kind = manifest.KindImage.String()
	}
	return m
}

// read adds what the manifest itself says.
func (m *Manifest) read(raw []byte) error {
	parsed, err := manifest.ParseManifest(raw, m.MediaType)
	if err != nil {
		m.Document = embeddable(raw)
		return err
	}
	m.Document = raw
	m.MediaType, m.ManifestAnnotations = parsed.MediaType, parsed.Annotations
	if parsed.ArtifactType != "" {
		m.ArtifactType = parsed.ArtifactType
	}
	if m.Created == "" {
		m.Created = parsed.Annotations[ocispec.AnnotationCreated]
	}
	m.Config = &Config{Digest: parsed.Config.Digest, MediaType: parsed.Config.MediaType, Size: parsed.Config.Size}
	size := parsed.Size()
	m.CompressedSize = &size
	m.Layers = make([]Layer, len(parsed.Layers))
	for n, l := range parsed.Layers {
		m.Layers[n] = Layer{
			Digest: l.Digest, MediaType: l.MediaType, Size: l.Size, Annotations: l.Annotations,
			Foreign: manifest.IsForeign(l.MediaType), URLs: append([]string{}, l.URLs...),
		}
	}
	return m.classify(raw)
}

// classify sets the kind by what the manifest itself says.
func (m *Manifest) classify(raw []byte) error {
	_, err := manifest.ParseImage(raw, m.MediaType)
	var artifact *manifest.ArtifactError
	if !errors.As(err, &artifact) {
		m.Kind = manifest.KindImage.String()
		return err
	}
	m.Kind, m.Artifact = manifest.KindArtifact.String(), artifact.Name
	if artifact.Name == kindAttestation || m.AttestationOf != "" {
		m.Kind = kindAttestation
	}
	if m.ArtifactType == "" {
		m.ArtifactType = artifact.Type
	}
	return nil
}

// readConfig adds what the config says. It returns where the config contradicts the
// platform in the index.
func (m *Manifest) readConfig(raw []byte) ([]platform.Conflict, error) {
	m.Config.Document = embeddable(raw)
	config, err := manifest.ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", m.Config.Digest, err)
	}
	image, err := manifest.ParseImage(m.Document, m.MediaType)
	if err != nil {
		return nil, err
	}
	if config.Created != nil {
		m.Created = config.Created.Format(time.RFC3339Nano)
	}
	layers, err := manifest.PairLayers(image, config)
	if err != nil {
		return nil, err
	}
	for n, l := range layers {
		m.Layers[n].DiffID = l.DiffID
	}
	if m.entry.Platform != nil {
		return platform.Compare(m.entry.Platform, config.Platform), nil
	}
	p := newPlatform(config.Platform)
	m.Platform = &p
	if m.Descriptor == nil { // else the choice looks, and warns
		m.entry.Platform = &config.Platform
	}
	return nil, nil
}

// embeddable returns raw if it can be part of a JSON document, else nil.
func embeddable(raw []byte) json.RawMessage {
	if !json.Valid(raw) || !utf8.Valid(raw) {
		return nil
	}
	return raw
}
