// SPDX-License-Identifier: Apache-2.0

package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/manifest"
)

// Docker prints the output of "docker manifest inspect", or with long that of its -v,
// with the same keys, order and white space. typed is the reference as the user wrote it.
// The forms are those of docker/cli 29, cli/command/manifest/inspect.go and
// cli/manifest/types/types.go, and of docker/distribution 2.8, by which it encodes.
func Docker(w io.Writer, typed string, found *inspect.Result, long bool) error {
	var out []byte
	var err error
	switch single := found.Kind != "index"; {
	case long:
		out, err = dockerLong(found, dockerName(typed, found.Reference))
	case single:
		var b bytes.Buffer
		err = json.Indent(&b, found.Document, "", "\t")
		out = b.Bytes()
	default:
		out, err = json.MarshalIndent(newDockerList(found), "", "   ")
	}
	if err != nil {
		return err
	}
	return terminal.WriteDocument(w, append(out, '\n'))
}

// dockerList is the list that docker makes from an index. It has no annotations, and its
// media type depends on the first entry.
type dockerList struct {
	SchemaVersion int           `json:"schemaVersion"`
	MediaType     string        `json:"mediaType"`
	Manifests     []dockerEntry `json:"manifests"`
}

type dockerEntry struct {
	MediaType string           `json:"mediaType,omitempty"`
	Size      int64            `json:"size,omitempty"`
	Digest    digest.Digest    `json:"digest,omitempty"`
	Platform  ocispec.Platform `json:"platform"`
}

func newDockerList(found *inspect.Result) dockerList {
	l := dockerList{SchemaVersion: 2, MediaType: manifest.DockerManifestList, Manifests: []dockerEntry{}}
	for i, m := range found.Manifests {
		if i == 0 && m.MediaType == ocispec.MediaTypeImageManifest {
			l.MediaType = ocispec.MediaTypeImageIndex
		}
		l.Manifests = append(l.Manifests, dockerEntry{m.MediaType, m.Size, m.Digest, dockerPlatform(m.Platform)})
	}
	return l
}

// dockerPlatform returns a platform as docker prints it; without one it prints an empty one.
func dockerPlatform(p *inspect.Platform) ocispec.Platform {
	if p == nil {
		return ocispec.Platform{}
	}
	return ocispec.Platform{
		Architecture: p.Architecture, OS: p.OS, Variant: p.Variant,
		OSVersion: p.OSVersion, OSFeatures: p.OSFeatures,
	}
}

// dockerManifest is an image in the long form.
type dockerManifest struct {
	Ref              string
	Descriptor       ocispec.Descriptor
	Raw              []byte          `json:",omitempty"`
	SchemaV2Manifest json.RawMessage `json:",omitempty"`
	OCIManifest      json.RawMessage `json:",omitempty"`
}

// dockerLong returns a list of the images of an index, or an object for a single image.
func dockerLong(found *inspect.Result, name string) ([]byte, error) {
	if found.Kind != "index" {
		return json.MarshalIndent(newDockerManifest(&found.Manifests[0], name), "", "\t")
	}
	name, _, _ = strings.Cut(name, "@")
	list := []dockerManifest{}
	for i := range found.Manifests {
		m := &found.Manifests[i]
		if m.Document == nil || m.Kind == "index" {
			return nil, fmt.Errorf("%w: docker has no long form for %s, a %s (%q)", manifest.ErrUnsupported, m.Digest, m.Kind, m.MediaType)
		}
		list = append(list, newDockerManifest(m, name+"@"+m.Digest.String()))
	}
	return json.MarshalIndent(list, "", "\t")
}

func newDockerManifest(m *inspect.Manifest, name string) dockerManifest {
	p := dockerPlatform(m.Platform)
	d := dockerManifest{
		Ref:        name,
		Descriptor: ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size, Platform: &p},
		Raw:        m.Document,
	}
	if m.MediaType == manifest.DockerManifest {
		d.SchemaV2Manifest = m.Document
	} else {
		d.OCIManifest = m.Document
	}
	return d
}

// dockerName returns the reference in docker's canonical form, which unlike ours keeps a
// tag beside a digest.
func dockerName(typed, canonical string) string {
	name, pinned, ok := strings.Cut(canonical, "@")
	if !ok || strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return canonical
	}
	typed, _, _ = strings.Cut(typed, "@")
	if _, tag, ok := strings.Cut(typed[strings.LastIndexByte(typed, '/')+1:], ":"); ok {
		return name + ":" + tag + "@" + pinned
	}
	return canonical
}
