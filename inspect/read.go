// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

// inspectJobs is how many small documents are read at a time: enough to hide the
// latency of a registry, and few enough for any registry.
const inspectJobs = 8

// readManifests reads each of these manifests once.
func (i *inspector) readManifests(ctx context.Context, entries []*Manifest) error {
	var wanted []ocispec.Descriptor
	for _, m := range entries {
		if i.readable(m) {
			wanted = append(wanted, m.entry)
		}
	}
	got, err := i.readAll(ctx, wanted, i.source.Manifest)
	if err != nil {
		return err
	}
	for _, m := range entries {
		if !i.readable(m) {
			continue
		}
		result := got[m.Digest]
		if result.err == nil {
			result.err = m.read(result.raw)
		}
		if err := i.note(m, result.err); err != nil {
			return err
		}
	}
	return nil
}

// readable reports whether an entry's manifest is to be read. An index may list
// entries that are no manifests.
func (i *inspector) readable(m *Manifest) bool {
	return manifest.IsManifest(m.MediaType) && (m.Kind != kindAttestation || i.options.Attestations)
}

// readConfigs reads the config of each of these images once.
func (i *inspector) readConfigs(ctx context.Context, entries []*Manifest) error {
	var wanted []ocispec.Descriptor
	for _, m := range entries {
		if m.hasConfig() {
			wanted = append(wanted, ocispec.Descriptor{MediaType: m.Config.MediaType, Digest: m.Config.Digest, Size: m.Config.Size})
		}
	}
	got, err := i.readAll(ctx, wanted, i.source.Config)
	if err != nil {
		return err
	}
	for _, m := range entries {
		if !m.hasConfig() {
			continue
		}
		if err := i.config(m, got[m.Config.Digest]); err != nil {
			return err
		}
	}
	return nil
}

// hasConfig reports whether there is an image's config to read.
func (m *Manifest) hasConfig() bool {
	return m.Kind == manifest.KindImage.String() && m.Config != nil && m.Error == ""
}

func (i *inspector) config(m *Manifest, got document) error {
	if got.err != nil {
		return i.note(m, got.err)
	}
	conflicts, err := m.readConfig(got.raw)
	if err != nil {
		return i.note(m, err)
	}
	for _, conflict := range conflicts {
		if i.options.Strict {
			return fmt.Errorf("manifest %s: %w: %s", m.Digest, source.ErrPlatformConflict, conflict)
		}
		i.found.Warnings = append(i.found.Warnings, fmt.Sprintf("manifest %s: %s", m.Digest, conflict))
	}
	return nil
}

// note records an error about one manifest, so that the others can still be shown. It
// returns an error that ends the inspection.
func (i *inspector) note(m *Manifest, err error) error {
	switch {
	case err == nil:
		return nil
	case i.fatal || !tolerable(err):
		return err
	}
	m.Error = err.Error()
	i.found.Warnings = append(i.found.Warnings, fmt.Sprintf("%s: %s", m.Digest, err))
	return nil
}

// tolerable reports whether an error is about one document and not about the whole
// source.
func tolerable(err error) bool {
	var budget *manifest.BudgetError
	if errors.As(err, &budget) {
		return false
	}
	return errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrMalformed) ||
		errors.Is(err, manifest.ErrMalformed) || errors.Is(err, manifest.ErrUnsupported)
}

// check reads the manifest and the config of the chosen image, unless they were read,
// and fails for any fault in them.
func (i *inspector) check(ctx context.Context, m *Manifest) error {
	i.fatal = true
	if m.Error != "" {
		return errors.New(m.Error)
	}
	chosen := []*Manifest{m}
	if m.Document == nil {
		if err := i.readManifests(ctx, chosen); err != nil {
			return err
		}
	}
	if !m.hasConfig() {
		return fmt.Errorf("manifest %s: %w", m.Digest, &manifest.ArtifactError{Name: m.Artifact, Type: m.ArtifactType})
	}
	if m.Config.Document != nil {
		return nil
	}
	return i.readConfigs(ctx, chosen)
}

// document is a document that was read, or why it was not.
type document struct {
	raw []byte
	err error
}

// readAll reads each digest once, several at a time. It fails for an error about the
// whole source; an error about one document is in the map.
func (i *inspector) readAll(ctx context.Context, wanted []ocispec.Descriptor, read func(context.Context, ocispec.Descriptor) ([]byte, error)) (map[digest.Digest]document, error) {
	distinct := map[digest.Digest]ocispec.Descriptor{}
	for _, desc := range wanted {
		// A document that is too large by itself is refused when it is read.
		if _, seen := distinct[desc.Digest]; !seen && desc.Size <= manifest.MaxConfigSize {
			i.bytes += desc.Size
		}
		distinct[desc.Digest] = desc
	}
	if i.bytes > source.MaxDocuments {
		return nil, &manifest.BudgetError{Max: source.MaxDocuments}
	}
	var mu sync.Mutex
	got := make(map[digest.Digest]document, len(distinct))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(inspectJobs)
	for _, desc := range distinct {
		group.Go(func() error {
			raw, err := read(groupCtx, desc)
			if err != nil && !tolerable(err) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			got[desc.Digest] = document{raw, err}
			return nil
		})
	}
	return got, group.Wait()
}
