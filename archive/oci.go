// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// containerdName is the annotation in which containerd, Docker and Podman look for an
// image's whole name. The specification's annotation cannot have all names.
const containerdName = "io.containerd.image.name"

// WriteOCI writes an OCI archive. Errors: those of to and of blobs, [ErrMismatch], and
// those of invalid descriptors.
func WriteOCI(ctx context.Context, to io.Writer, blobs Blobs, c Contents, o Options) error {
	w := newWriter(to, o)
	if err := w.oci(ctx, blobs, c, o); err != nil {
		return fmt.Errorf("write OCI archive: %w", err)
	}
	return w.close()
}

func (w *writer) oci(ctx context.Context, blobs Blobs, c Contents, o Options) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := w.json(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}); err != nil {
		return err
	}
	if err := w.json(ocispec.ImageIndexFile, index(c.Root, o)); err != nil {
		return err
	}
	if len(c.Indexes) == 0 && len(c.Images) == 1 {
		if err := w.dockerManifest(c.Images[0], blobName(c.Images[0].Config.Descriptor), o); err != nil {
			return err
		}
	}
	for _, d := range c.Indexes {
		if err := w.document(d); err != nil {
			return err
		}
	}
	for _, i := range c.Images {
		for _, d := range []Document{i.Manifest, i.Config} {
			if err := w.document(d); err != nil {
				return err
			}
		}
		if err := w.layers(ctx, blobs, i.Layers); err != nil {
			return err
		}
	}
	return nil
}

// index makes the content of index.json.
func index(root ocispec.Descriptor, o Options) ocispec.Index {
	named := ocispec.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size, Platform: root.Platform}
	for key, value := range map[string]string{containerdName: o.Name, ocispec.AnnotationRefName: o.Tag} {
		if value == "" {
			continue
		}
		if named.Annotations == nil {
			named.Annotations = map[string]string{}
		}
		named.Annotations[key] = value
	}
	return ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{named},
	}
}
