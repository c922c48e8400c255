// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/registry/internal/local"
	"github.com/layerctl/layerctl/registry/internal/remote"
)

// Referrers lists the manifests that name a digest as their subject, at most
// [manifest.MaxEntries]. A registry is asked by one request, or by more if it divides
// the list; a layout is searched. The list is not verified: only a manifest itself says
// whether it names the digest.
//
// The error matches errors.ErrUnsupported where there is no such list: in docker
// archives, and in registries without the API. These may have a list under a tag, see
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#unavailable-referrers-api
func (s *Source) Referrers(ctx context.Context, of digest.Digest) (list []ocispec.Descriptor, err error) {
	switch o := s.from().(type) {
	case *remote.Repository:
		list, err = o.Referrers(ctx, of)
	case *local.Layout:
		list, err = o.Referrers(ctx, of)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("list the referrers of %s: %w", s.ref, err)
	}
	return list, nil
}

// DescribeTag asks for the descriptor that another tag of the same repository or layout
// stands for, by a HEAD request. The error matches [ErrNotFound] where there is none; a
// registry that answers 404 to every HEAD is believed. Nothing is verified.
func (s *Source) DescribeTag(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	if _, ok := s.from().(*remote.Repository); !ok {
		desc, _, err := s.ReadTag(ctx, tag)
		return desc, err
	}
	ref, repository, err := s.beside(tag)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := repository.Glance(ctx)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolve %s: %w", ref, err)
	}
	return desc, nil
}

// ReadTag reads the manifest or index that another tag of the same repository or layout
// stands for, as [Source.Root] does. The error matches [ErrNotFound] where there is none.
func (s *Source) ReadTag(ctx context.Context, tag string) (ocispec.Descriptor, []byte, error) {
	switch o := s.from().(type) {
	case *remote.Repository:
		ref, repository, err := s.beside(tag)
		if err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		desc, raw, err := repository.Root(ctx)
		if err != nil {
			return ocispec.Descriptor{}, nil, fmt.Errorf("read %s: %w", ref, err)
		}
		return desc, raw, nil
	case *local.Layout:
		desc, raw, err := o.ReadTag(ctx, tag)
		if err != nil {
			return ocispec.Descriptor{}, nil, fmt.Errorf("read tag of %s: %w", s.ref, err)
		}
		return desc, raw, nil
	}
	return ocispec.Descriptor{}, nil, fmt.Errorf("%s: %w: no tag beside it", s.ref, ErrNotFound)
}

// beside opens the same repository with another tag.
func (s *Source) beside(tag string) (Reference, *remote.Repository, error) {
	ref, err := Parse(s.ref.name + "/" + s.ref.repo + ":" + tag)
	if err != nil {
		return Reference{}, nil, err
	}
	repository, err := s.client.repository(ref)
	if err != nil {
		return Reference{}, nil, fmt.Errorf("open %s: %w", ref, err)
	}
	return ref, repository, nil
}
