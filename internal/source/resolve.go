// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// Resolution is which image a reference means on one platform.
type Resolution struct {
	Reference registry.Reference
	// Root is what the reference names: an index, or an image's manifest.
	Root ocispec.Descriptor
	// Manifest is the manifest of the chosen image. It is Root if the reference names a
	// single image.
	Manifest ocispec.Descriptor
	// Choice says why it was chosen, candidate by candidate. It is zero for a single
	// image.
	Choice platform.Choice
}

// Resolve chooses the image that the reference means for the wanted platform. A single
// image is not compared with that, see [Source.Image].
func (s *Source) Resolve(ctx context.Context) (Resolution, error) {
	root, raw, err := s.Root(ctx)
	if err != nil {
		return Resolution{}, err
	}
	r := Resolution{Reference: s.Reference(), Root: root, Manifest: root}
	// A registry may say that the media type is application/json, and a layout may have
	// none: the document itself decides.
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

// choose chooses from an index, and the indexes in it, for the wanted platform.
func (s *Source) choose(ctx context.Context, root ocispec.Descriptor, raw []byte) (platform.Choice, error) {
	index, err := Walk(ctx, root, raw, s.Manifest, nil)
	if err != nil {
		return platform.Choice{}, err
	}
	wanted, err := s.options.Wanted()
	if err != nil {
		return platform.Choice{}, err
	}
	return Choose(ctx, wanted, slices.Collect(index.Leaves()), s)
}

// maxLookups bounds how many entries without a platform are looked up in their configs.
const maxLookups = 3

// Documents reads manifests and configs, and verifies them.
type Documents interface {
	Manifest(context.Context, ocispec.Descriptor) ([]byte, error)
	Config(context.Context, ocispec.Descriptor) ([]byte, error)
}

// Choose is [platform.Choose] for entries of an index. If none of them matches, it looks
// up the platforms of the first three that name none in their configs, by two requests
// each, and chooses again.
func Choose(ctx context.Context, wanted platform.Wanted, entries []ocispec.Descriptor, from Documents) (platform.Choice, error) {
	choice, err := platform.Choose(wanted, entries)
	if !errors.Is(err, platform.ErrNoMatch) {
		return choice, err
	}
	known := slices.Clone(entries)
	warnings := map[int]string{}
	for i, e := range entries {
		_, attestation := manifest.IsAttestation(e)
		if e.Platform != nil || attestation || e.ArtifactType != "" || !manifest.IsManifest(e.MediaType) {
			continue
		}
		if len(warnings) == maxLookups {
			break
		}
		warnings[i] = ""
		if p := lookUp(ctx, e, from); p != nil {
			known[i].Platform = p
			warnings[i] = fmt.Sprintf("the index names no platform for %s; its config says %s", e.Digest, platform.Format(*p))
		}
	}
	if len(warnings) == 0 || ctx.Err() != nil {
		return choice, errors.Join(err, ctx.Err())
	}
	choice, err = platform.Choose(wanted, known)
	if w := warnings[choice.Index]; err == nil && w != "" {
		choice.Warnings = append(choice.Warnings, w)
	}
	return choice, err
}

// lookUp returns the platform in an image's config; nil if it has none or cannot be read.
func lookUp(ctx context.Context, desc ocispec.Descriptor, from Documents) *ocispec.Platform {
	raw, err := from.Manifest(ctx, desc)
	if err != nil {
		return nil
	}
	m, err := manifest.ParseImage(raw, desc.MediaType)
	if err != nil {
		return nil
	}
	if raw, err = from.Config(ctx, m.Config); err != nil {
		return nil
	}
	config, err := manifest.ParseConfig(raw)
	if err != nil || config.Platform.OS == "" || config.Platform.Architecture == "" {
		return nil
	}
	return &config.Platform
}
