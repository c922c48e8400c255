// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
)

// ErrPlatformConflict says that an image's config contradicts the index that
// names it; only a strict client makes it an error.
var ErrPlatformConflict = errkind.New(errkind.Malformed, "config and index disagree on the platform")

func (c *Client) resolve(ctx context.Context, source *origin) (Resolution, error) {
	root, raw, err := source.Root(ctx)
	if err != nil {
		return Resolution{}, err
	}
	r := Resolution{Reference: source.Reference(), Root: root, Manifest: root, raw: raw}
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
	if r.Choice, err = c.choose(ctx, source, root, raw); err != nil {
		return Resolution{}, fmt.Errorf("resolve %s: %w", r.Reference, err)
	}
	r.Manifest, r.raw = r.Choice.Descriptor, nil
	return r, nil
}

func (c *Client) choose(ctx context.Context, source *origin, root ocispec.Descriptor, raw []byte) (platform.Choice, error) {
	candidates, err := c.entries(ctx, source, root, raw, 1)
	if err != nil {
		return platform.Choice{}, err
	}
	wanted, err := c.wanted()
	if err != nil {
		return platform.Choice{}, err
	}
	return platform.Choose(wanted, candidates)
}

// entries lists what an index holds, each nested index replaced by its own
// entries: what an entry says of a whole index chooses nothing.
func (c *Client) entries(ctx context.Context, source *origin, desc ocispec.Descriptor, raw []byte, depth int) ([]ocispec.Descriptor, error) {
	index, err := manifest.ParseIndex(raw, desc.MediaType)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", desc.Digest, err)
	}
	var flat []ocispec.Descriptor
	for _, entry := range index.Manifests {
		if !manifest.IsIndex(entry.MediaType) {
			flat = append(flat, entry)
			continue
		}
		if depth == manifest.MaxIndexDepth {
			return nil, fmt.Errorf("index %s: %w: indexes nest deeper than %d", desc.Digest, manifest.ErrMalformed, manifest.MaxIndexDepth)
		}
		nested, err := source.Manifest(ctx, entry)
		if err != nil {
			return nil, err
		}
		below, err := c.entries(ctx, source, entry, nested, depth+1)
		if err != nil {
			return nil, err
		}
		if flat = append(flat, below...); len(flat) > manifest.MaxEntries {
			return nil, fmt.Errorf("index %s: %w: more than %d entries", desc.Digest, manifest.ErrMalformed, manifest.MaxEntries)
		}
	}
	return flat, nil
}

func (c *Client) wanted() (platform.Wanted, error) {
	if c.options.Platform == "" {
		return c.Host().Wanted(), nil
	}
	p, err := platform.Parse(c.options.Platform)
	if err != nil {
		return platform.Wanted{}, err
	}
	return platform.Want(p), nil
}

// image is the chosen image with all that says how to unpack it.
type image struct {
	manifest *manifest.Image
	config   *manifest.Config
	layers   []manifest.Layer // the lowest first
	warnings []string
}

func (i image) diffIDs() []digest.Digest {
	var ids []digest.Digest
	for _, l := range i.layers {
		ids = append(ids, l.DiffID)
	}
	return ids
}

// image fetches and checks the manifest and config of what was chosen.
func (c *Client) image(ctx context.Context, source *origin, r Resolution) (image, error) {
	raw := r.raw
	if raw == nil {
		var err error
		if raw, err = source.Manifest(ctx, r.Manifest); err != nil {
			return image{}, err
		}
	}
	m, err := manifest.ParseImage(raw, r.Manifest.MediaType)
	if err != nil {
		return image{}, fmt.Errorf("manifest %s: %w", r.Manifest.Digest, err)
	}
	rawConfig, err := source.Config(ctx, m.Config)
	if err != nil {
		return image{}, err
	}
	config, err := manifest.ParseConfig(rawConfig)
	if err != nil {
		return image{}, fmt.Errorf("config %s: %w", m.Config.Digest, err)
	}
	layers, err := manifest.PairLayers(m, config)
	if err != nil {
		return image{}, fmt.Errorf("manifest %s: %w", r.Manifest.Digest, err)
	}
	i := image{manifest: m, config: config, layers: layers, warnings: r.Choice.Warnings}
	return i, c.compare(&i, r)
}

// compare holds the config's platform against what it was chosen for.
func (c *Client) compare(i *image, r Resolution) error {
	if r.Root.Digest == r.Manifest.Digest {
		return c.compareWanted(i)
	}
	for _, conflict := range platform.Compare(r.Manifest.Platform, i.config.Platform) {
		if c.options.Strict {
			return fmt.Errorf("manifest %s: %w: %s", r.Manifest.Digest, ErrPlatformConflict, conflict)
		}
		i.warnings = append(i.warnings, conflict.String())
	}
	return nil
}

// compareWanted is for a reference that names a single image, of which only
// the config says what it runs on. Whoever names one gets it all the same.
func (c *Client) compareWanted(i *image) error {
	wanted, err := c.wanted()
	if err != nil {
		return err
	}
	p := i.config.Platform
	_, err = platform.Choose(wanted, []ocispec.Descriptor{{MediaType: i.manifest.MediaType, Platform: &p}})
	switch {
	case err == nil:
	case c.options.Strict:
		return err
	default:
		i.warnings = append(i.warnings, fmt.Sprintf("the image is for %s, not for %s", platform.Format(p), wanted))
	}
	return nil
}
