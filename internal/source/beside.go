// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

// Referrers is [registry.Source.Referrers]. The cache keeps the list as an index under
// its fallback tag, [manifest.ReferrersTag]. Offline the error matches
// errors.ErrUnsupported, so that callers read that tag.
func (s *Source) Referrers(ctx context.Context, of digest.Digest) ([]ocispec.Descriptor, error) {
	if s.options.Offline {
		return nil, fmt.Errorf("%w: offline there is no list of referrers", errors.ErrUnsupported)
	}
	list, err := s.remote.Referrers(ctx, of)
	if err != nil || s.options.Cache == nil {
		return list, err
	}
	raw, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: slices.Concat([]ocispec.Descriptor{}, list),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the referrers of %s: %w", of, err)
	}
	s.remember(manifest.ReferrersTag(of), ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw)),
	}, raw)
	return list, nil
}

// DescribeTag is [registry.Source.DescribeTag]; offline it asks the cache alone.
func (s *Source) DescribeTag(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	if s.options.Offline {
		desc, _, err := s.recall(tag)
		return desc, err
	}
	desc, err := s.remote.DescribeTag(ctx, tag)
	if err == nil {
		s.remember(tag, desc, nil)
	}
	return desc, err
}

// ReadTag is [registry.Source.ReadTag]; offline it reads from the cache alone.
func (s *Source) ReadTag(ctx context.Context, tag string) (ocispec.Descriptor, []byte, error) {
	if s.options.Offline {
		return s.recall(tag)
	}
	desc, raw, err := s.remote.ReadTag(ctx, tag)
	if err == nil {
		s.remember(tag, desc, raw)
	}
	return desc, raw, err
}

// besideName is the name in the cache of another tag of the same repository.
func (s *Source) besideName(tag string) string {
	ref := s.Reference()
	return ref.Host() + "/" + ref.Repository() + ":" + tag
}

// recall reads from the cache what another tag of the same repository stands for.
func (s *Source) recall(tag string) (ocispec.Descriptor, []byte, error) {
	if s.options.Cache != nil {
		if desc, err := s.options.Cache.Lookup(s.besideName(tag)); err == nil {
			if raw, err := s.options.Cache.Bytes(desc, registry.MaxManifest); err == nil {
				return desc, raw, nil
			}
		}
	}
	return ocispec.Descriptor{}, nil, fmt.Errorf("%s: %w", s.besideName(tag), ErrOffline)
}

// remember has [Source.Keep] put another tag, and the manifest that it stands for, into
// the cache. raw may be nil; then the tag is kept only if the manifest has been read by
// then.
func (s *Source) remember(tag string, desc ocispec.Descriptor, raw []byte) {
	if s.options.Cache == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if raw != nil {
		s.documents[desc.Digest] = document{desc, raw}
	}
	s.beside[s.besideName(tag)] = desc
}

// tagBeside puts the tags of remember into the cache. The caller holds mu.
func (s *Source) tagBeside(ctx context.Context) {
	for name, desc := range s.beside {
		if _, err := s.options.Cache.Find(desc.Digest); err != nil {
			continue // its manifest was not read
		}
		if had, err := s.options.Cache.Lookup(name); err == nil && had.Digest == desc.Digest {
			continue
		}
		if err := s.options.Cache.Tag(ctx, name, desc); err != nil {
			s.options.Logger.Warn("tag in the cache", "reference", name, "error", err)
		}
	}
	clear(s.beside)
}

// Attached returns the digest to which the manifest of a name in the cache belongs, as a
// signature or a list of referrers does. ok is false for any other name.
func Attached(name string) (of digest.Digest, ok bool) {
	_, tag, found := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if !found {
		return "", false
	}
	return manifest.AttachedTo(tag)
}
