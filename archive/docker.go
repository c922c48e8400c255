// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// dockerImage is one image in manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// WriteDocker writes a Docker archive. This has no place for a manifest, so that the
// manifest's digest is lost; the config keeps its digest. Errors are those of [WriteOCI].
func WriteDocker(ctx context.Context, to io.Writer, blobs Blobs, image Image, o Options) error {
	w := newWriter(to, o)
	if err := w.docker(ctx, blobs, image, o); err != nil {
		return fmt.Errorf("write Docker archive: %w", err)
	}
	return w.close()
}

func (w *writer) docker(ctx context.Context, blobs Blobs, image Image, o Options) error {
	if err := image.check(); err != nil {
		return err
	}
	config := image.Config.Descriptor.Digest.Encoded() + ".json"
	if err := w.dockerManifest(image, config, o); err != nil {
		return err
	}
	if err := w.repositories(image, o); err != nil {
		return err
	}
	if err := w.file(config, image.Config.Raw); err != nil {
		return err
	}
	return w.layers(ctx, blobs, image.Layers)
}

// dockerManifest writes manifest.json.
func (w *writer) dockerManifest(image Image, config string, o Options) error {
	d := dockerImage{Config: config, Layers: []string{}}
	if o.Name != "" {
		d.RepoTags = []string{o.Name}
	}
	for _, l := range image.Layers {
		d.Layers = append(d.Layers, blobName(l))
	}
	return w.json("manifest.json", []dockerImage{d})
}

// repositories writes the file for programs older than manifest.json. It has an id of the
// topmost layer.
func (w *writer) repositories(image Image, o Options) error {
	colon := strings.LastIndexByte(o.Name, ':')
	if colon < 0 || len(image.Layers) == 0 {
		return nil
	}
	top := image.Layers[len(image.Layers)-1].Digest.Encoded()
	return w.json("repositories", map[string]map[string]string{o.Name[:colon]: {o.Name[colon+1:]: top}})
}
