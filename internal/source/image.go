// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// ErrPlatformConflict says that an image's config contradicts the platform in the index.
// It is an error only with Options.Strict, and otherwise a warning.
var ErrPlatformConflict = errkind.New(errkind.Malformed, "config and index disagree on the platform")

// Image is what has to be known of an image to unpack it.
type Image struct {
	Manifest *manifest.Image
	Config   *manifest.Config
	Layers   []manifest.Layer // the lowest first; one empty layer if the image has none
	Warnings []string
}

// DiffIDs returns the diffIDs of the layers, the lowest first.
func (i Image) DiffIDs() []digest.Digest {
	var ids []digest.Digest
	for _, l := range i.Layers {
		ids = append(ids, l.DiffID)
	}
	return ids
}

// Image reads and checks the manifest and config of the image that Resolve has chosen.
// If the reference names a single image, only its config says on which platform it runs:
// unless that is the wanted one, or Options.AnyPlatform is set, the error is a
// [*platform.NoMatchError].
func (s *Source) Image(ctx context.Context, r Resolution) (Image, error) {
	i, err := s.AnyImage(ctx, r)
	if err == nil && r.Root.Digest == r.Manifest.Digest {
		err = s.compareWanted(&i)
	}
	return i, err
}

// AnyImage is Image for callers that do not run the image: a single image may be for any
// platform.
func (s *Source) AnyImage(ctx context.Context, r Resolution) (Image, error) {
	raw, err := s.Manifest(ctx, r.Manifest)
	if err != nil {
		return Image{}, err
	}
	m, err := manifest.ParseImage(raw, r.Manifest.MediaType)
	if err != nil {
		return Image{}, fmt.Errorf("manifest %s: %w", r.Manifest.Digest, err)
	}
	rawConfig, err := s.Config(ctx, m.Config)
	if err != nil {
		return Image{}, err
	}
	config, err := manifest.ParseConfig(rawConfig)
	if err != nil {
		return Image{}, fmt.Errorf("config %s: %w", m.Config.Digest, err)
	}
	layers, err := manifest.PairLayers(m, config)
	if err != nil {
		return Image{}, fmt.Errorf("manifest %s: %w", r.Manifest.Digest, err)
	}
	if len(layers) == 0 {
		layers = []manifest.Layer{emptyLayer()}
	}
	i := Image{Manifest: m, Config: config, Layers: layers, Warnings: r.Choice.Warnings}
	return i, s.compare(&i, r)
}

// compare compares the config's platform with that in the index.
func (s *Source) compare(i *Image, r Resolution) error {
	if r.Root.Digest == r.Manifest.Digest {
		return nil
	}
	for _, conflict := range platform.Compare(r.Manifest.Platform, i.Config.Platform) {
		if s.options.Strict {
			return fmt.Errorf("manifest %s: %w: %s", r.Manifest.Digest, ErrPlatformConflict, conflict)
		}
		i.Warnings = append(i.Warnings, conflict.String())
	}
	return nil
}

// compareWanted compares the platform of a single image with the wanted one. If the
// config names none, that is a warning only, or with Options.Strict an error.
func (s *Source) compareWanted(i *Image) error {
	wanted, err := s.options.Wanted()
	if err != nil {
		return err
	}
	p := i.Config.Platform
	_, err = platform.Choose(wanted, []ocispec.Descriptor{{MediaType: i.Manifest.MediaType, Platform: &p}})
	says := p.OS != "" && p.Architecture != ""
	switch {
	case err == nil:
	case s.options.Strict, says && !s.options.AnyPlatform:
		return err
	case says:
		i.Warnings = append(i.Warnings, fmt.Sprintf("the image is for %s, not for %s", platform.Format(p), wanted))
	default:
		i.Warnings = append(i.Warnings, fmt.Sprintf("the image does not say what it runs on; nobody knows whether that is %s", wanted))
	}
	return nil
}

// DocumentRequests returns how many requests another Source would send to read the same
// manifests and config, after this one was kept.
func (s *Source) DocumentRequests(r Resolution) int {
	switch {
	case r.Reference.Transport() != registry.Docker || s.options.Offline:
		return 0
	case s.options.Cache != nil && r.Reference.Digest() != "":
		return 0
	case s.options.Cache != nil:
		return 1 // a HEAD for the tag
	case r.Root.Digest == r.Manifest.Digest:
		return 2
	}
	return 3
}
