// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// Resolution is what a reference came to on one platform.
type Resolution struct {
	Reference registry.Reference
	// Root is what the reference names: an index, or an image's manifest.
	Root ocispec.Descriptor
	// Manifest is the chosen image's manifest; the same as Root where the
	// reference names a single image.
	Manifest ocispec.Descriptor
	// Choice tells why, candidate by candidate; it is empty where there was
	// nothing to choose from.
	Choice platform.Choice
}

// Resolve chooses the image that the reference means for the platform that is
// wanted.
func (s *Source) Resolve(ctx context.Context) (Resolution, error) {
	root, raw, err := s.Root(ctx)
	if err != nil {
		return Resolution{}, err
	}
	r := Resolution{Reference: s.Reference(), Root: root, Manifest: root}
	// A registry may call it application/json and a layout nothing at all, so
	// that only the document itself tells.
	kind, err := manifest.Classify(root.MediaType, raw)
	if err != nil {
		return Resolution{}, fmt.Errorf("%s: %w", root.Digest, err)
	}
	if kind != manifest.KindIndex {
		m, err := manifest.ParseImage(raw, root.MediaType)
		if err != nil {
			return Resolution{}, fmt.Errorf("manifest %s: %w", root.Digest, err)
		}
		r.Root.MediaType, r.Manifest.MediaType = m.MediaType, m.MediaType
		return r, nil
	}
	if r.Choice, err = s.choose(ctx, root, raw); err != nil {
		return Resolution{}, fmt.Errorf("resolve %s: %w", r.Reference, err)
	}
	r.Manifest = r.Choice.Descriptor
	return r, nil
}

func (s *Source) choose(ctx context.Context, root ocispec.Descriptor, raw []byte) (platform.Choice, error) {
	index, err := Walk(ctx, root, raw, s.Manifest, nil)
	if err != nil {
		return platform.Choice{}, err
	}
	wanted, err := s.options.Wanted()
	if err != nil {
		return platform.Choice{}, err
	}
	return platform.Choose(wanted, slices.Collect(index.Leaves()))
}
