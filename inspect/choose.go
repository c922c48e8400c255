// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
)

// choose marks the image that a pull would take, by the same rules. If nothing fits it
// adds a warning and no error, because an inspection shows what there is.
func (i *inspector) choose(ctx context.Context) error {
	i.found.Host = i.host()
	if i.found.Kind == manifest.KindArtifact.String() {
		m := &i.found.Manifests[0]
		i.found.refusal = fmt.Errorf("manifest %s: %w", m.Digest, &manifest.ArtifactError{Name: m.Artifact, Type: m.ArtifactType})
		return nil
	}
	if i.options.Chosen && i.single {
		// Before the choice, because only the config says what the image runs on.
		if err := i.check(ctx, i.leaves[0]); err != nil {
			return err
		}
	}
	choice, err := source.Choose(ctx, i.wanted, i.candidates(), known{i})
	var none *platform.NoMatchError
	switch {
	case errors.As(err, &none):
		return i.refused(none)
	case err != nil:
		return err
	}
	i.judged(choice.Verdicts)
	if i.found.refusal != nil {
		return nil
	}
	i.take(i.leaves[choice.Index])
	if i.single {
		return nil
	}
	i.found.Warnings = append(i.found.Warnings, choice.Warnings...)
	if i.options.Chosen {
		return i.check(ctx, i.leaves[choice.Index])
	}
	return nil
}

// known has the documents that were read already, and reads the others.
type known struct{ *inspector }

func (k known) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	for _, m := range k.leaves {
		if m.Digest == desc.Digest && m.Document != nil {
			return m.Document, nil
		}
	}
	return k.source.Manifest(ctx, desc)
}

func (k known) Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	for _, m := range k.leaves {
		if m.Config != nil && m.Config.Digest == desc.Digest && m.Config.Document != nil {
			return m.Config.Document, nil
		}
	}
	return k.source.Config(ctx, desc)
}

func (i *inspector) candidates() []ocispec.Descriptor {
	candidates := make([]ocispec.Descriptor, len(i.leaves))
	for n, m := range i.leaves {
		if candidates[n] = m.entry; i.single {
			candidates[n].MediaType = m.MediaType
		}
	}
	return candidates
}

// refused handles a reference with no image that fits.
func (i *inspector) refused(none *platform.NoMatchError) error {
	i.judged(none.Verdicts)
	if i.single && i.options.Strict && i.options.Chosen {
		return none
	}
	if i.found.refusal == nil {
		i.found.Warnings = append(i.found.Warnings, none.Error())
		i.found.refusal = none
	}
	return nil
}

func (i *inspector) judged(verdicts []platform.Verdict) {
	for n, v := range verdicts {
		i.leaves[n].Verdict = &Verdict{Accepted: v.Accepted, Rank: v.Rank, Reason: v.Reason}
	}
}

func (i *inspector) take(m *Manifest) { m.Chosen, i.found.Chosen = true, m.Digest }

// host returns the platform that images are chosen for, and if nobody named it also
// the facts about the machine that it comes from.
func (i *inspector) host() Host {
	w := i.wanted
	h := Host{Platform: newPlatform(w.Platform), Named: w.Named, Warning: w.Warning, Facts: []Fact{}}
	if w.Other != nil {
		p := newPlatform(*w.Other)
		h.Other = &p
	}
	if !w.Named {
		for _, f := range i.options.Facts {
			h.Facts = append(h.Facts, Fact(f))
		}
	}
	return h
}
