// SPDX-License-Identifier: Apache-2.0

// Package cacheprune removes from a cache what no image of a store needs.
package cacheprune

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// Gone is what was removed from a cache, or would be.
type Gone struct {
	Names []string // references that the cache no longer answers
	Blobs []ocispec.Descriptor
	Bytes int64
	// Partial is the same of blobs that interrupted pulls have begun.
	Partial int64
}

// Prune removes the names that are no reference in the store, and all blobs that
// neither a name that is left nor an image that has one leads to. Names that
// other programs gave stay. Of o, DryRun and OlderThan count. While anything is
// being pulled through the cache all of it stays.
func Prune(ctx context.Context, store *overlaystore.Store, c *cache.Cache, o overlaystore.PruneOptions) (_ Gone, err error) {
	release, err := c.TryAlone(ctx)
	if err != nil || release == nil {
		return Gone{}, err
	}
	defer func() { err = errors.Join(err, release()) }()
	blobs, err := c.Blobs()
	if err != nil {
		return Gone{}, err
	}
	p := &pruner{cache: c, fresh: map[digest.Digest]bool{}, kept: map[digest.Digest]bool{}}
	for _, b := range blobs {
		p.fresh[b.Digest] = o.OlderThan > 0 && time.Since(b.Kept) < o.OlderThan
	}
	if err := p.names(ctx, store); err != nil {
		return Gone{}, err
	}
	for _, b := range blobs {
		if !p.kept[b.Digest] && !p.fresh[b.Digest] {
			p.gone.Blobs = append(p.gone.Blobs, b.Descriptor)
			p.gone.Bytes += b.Size
		}
	}
	if err := p.partials(ctx, o); err != nil || o.DryRun {
		return p.gone, err
	}
	// The names first: what has one should be there.
	for _, name := range p.gone.Names {
		if err := c.Untag(ctx, name); err != nil {
			return Gone{}, err
		}
	}
	for _, b := range p.gone.Blobs {
		if err := c.Remove(ctx, b); err != nil {
			return Gone{}, err
		}
	}
	return p.gone, nil
}

type pruner struct {
	cache *cache.Cache
	fresh map[digest.Digest]bool // too young to go
	kept  map[digest.Digest]bool // something leads to it
	gone  Gone
}

// partialAge is how long the beginning of a blob waits for the next pull.
const partialAge = 24 * time.Hour

func (p *pruner) partials(ctx context.Context, o overlaystore.PruneOptions) error {
	begun, err := p.cache.Partials()
	for _, b := range begun {
		if !o.Partial && time.Since(b.Grown) < max(partialAge, o.OlderThan) {
			continue
		}
		p.gone.Partial += b.Size
		if !o.DryRun {
			err = errors.Join(err, p.cache.Forget(ctx, b))
		}
	}
	return err
}

// names tells the names that stay, and follows them, from those that go.
func (p *pruner) names(ctx context.Context, store *overlaystore.Store) error {
	images, err := store.Images()
	if err != nil {
		return err
	}
	referenced := map[string]bool{}
	for _, i := range images {
		for _, ref := range i.Refs {
			referenced[ref] = true
		}
	}
	tagged, err := p.cache.Tagged()
	if err != nil {
		return err
	}
	var attached []ocispec.Descriptor // to what is kept, or is not
	for _, desc := range tagged {
		name := desc.Annotations[ocispec.AnnotationRefName]
		ref, err := registry.Parse(name)
		ours := err == nil && ref.String() == name
		if ours && !referenced[name] && !p.fresh[desc.Digest] {
			if _, ok := source.Attached(name); ok {
				attached = append(attached, desc)
				continue
			}
			p.gone.Names = append(p.gone.Names, name)
			continue
		}
		if err := p.follow(ctx, desc); err != nil {
			return fmt.Errorf("follow %.200q in the cache: %w", name, err)
		}
	}
	if err := p.images(ctx, images); err != nil {
		return err
	}
	return p.attached(ctx, attached)
}

// attached tells the names of what belongs to images: they stay as long as
// these do. What is attached to an attachment comes after it.
func (p *pruner) attached(ctx context.Context, tagged []ocispec.Descriptor) error {
	for changed := true; changed; {
		changed = false
		for i, desc := range tagged {
			of, _ := source.Attached(desc.Annotations[ocispec.AnnotationRefName])
			if desc.Digest == "" || !p.kept[of] {
				continue
			}
			if err := p.follow(ctx, desc); err != nil {
				return err
			}
			tagged[i].Digest, changed = "", true
		}
	}
	for _, desc := range tagged {
		if desc.Digest != "" {
			p.gone.Names = append(p.gone.Names, desc.Annotations[ocispec.AnnotationRefName])
		}
	}
	return nil
}

// images keeps what the cache has of the images themselves: where a reference
// names several, each for a platform, it may have moved on since.
func (p *pruner) images(ctx context.Context, images []overlaystore.Image) error {
	for _, i := range images {
		desc, err := p.cache.Find(i.Manifest)
		if err != nil || len(i.Refs) == 0 {
			continue
		}
		if err := p.follow(ctx, desc); err != nil {
			return fmt.Errorf("follow %s in the cache: %w", i.Manifest, err)
		}
	}
	return nil
}

// follow keeps a blob and, if it is an index or a manifest, all that it names.
// What cannot be read leads nowhere, unless this process could not read it for
// want of descriptors or memory.
func (p *pruner) follow(ctx context.Context, desc ocispec.Descriptor) error {
	if p.kept[desc.Digest] {
		return nil
	}
	p.kept[desc.Digest] = true
	if desc.MediaType != "" && !manifest.IsIndex(desc.MediaType) && !manifest.IsManifest(desc.MediaType) {
		return nil
	}
	raw, err := p.read(ctx, desc)
	if fsat.IsShortage(err) {
		return err
	}
	if err != nil {
		return nil
	}
	if _, err := manifest.ParseIndex(raw, desc.MediaType); err != nil {
		p.image(desc, raw)
		return nil
	}
	index, err := source.Walk(ctx, desc, raw, p.read, func(error) bool { return true })
	if err != nil {
		return err
	}
	for x := range index.Indexes() {
		for _, entry := range x.Manifests {
			p.kept[entry.Digest] = true
		}
	}
	for entry := range index.Leaves() {
		raw, err := p.read(ctx, entry)
		if fsat.IsShortage(err) {
			return err
		}
		if err == nil {
			p.image(entry, raw)
		}
	}
	return ctx.Err()
}

func (p *pruner) read(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return p.cache.Bytes(desc, registry.MaxManifest)
}

// image keeps what an image's manifest names.
func (p *pruner) image(desc ocispec.Descriptor, raw []byte) {
	m, err := manifest.ParseManifest(raw, desc.MediaType)
	if err != nil {
		return
	}
	p.kept[m.Config.Digest] = true
	for _, l := range m.Layers {
		p.kept[l.Digest] = true
	}
}
