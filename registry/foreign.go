// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/remote"
)

// ForeignError says that a layer cannot be fetched which need not be where its image is,
// for reasons of its license or by its author's choice. It matches whatever Err matches.
type ForeignError struct {
	Err error
	// URLs is how many urls the manifest has for the layer.
	URLs int
	// Followed says that the urls were asked, see [Options.Foreign].
	Followed bool
}

// Error is one line.
func (e *ForeignError) Error() string {
	const what = "a foreign layer, which may be missing where its image is"
	switch {
	case e.Followed:
		return fmt.Sprintf("%s, from its urls: %v", what, e.Err)
	case e.URLs > 0:
		return fmt.Sprintf("%s; its urls (%d) are not followed: %v", what, e.URLs, e.Err)
	default:
		return fmt.Sprintf("%s, and without a url: %v", what, e.Err)
	}
}

// Unwrap returns why the layer could not be fetched.
func (e *ForeignError) Unwrap() error { return e.Err }

// foreign opens a layer at its urls, if err says that the layer is not where its image
// is, and if it may be elsewhere. Otherwise it returns err, or a [*ForeignError].
func (s *Source) foreign(ctx context.Context, desc ocispec.Descriptor, err error) (*content.Reader, error) {
	// Some registries answer that access is denied to what they do not have.
	absent := errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied)
	if !absent || len(desc.URLs) == 0 && !manifest.IsForeign(desc.MediaType) {
		return nil, err
	}
	if !s.client.o.Foreign || len(desc.URLs) == 0 {
		return nil, &ForeignError{Err: err, URLs: len(desc.URLs)}
	}
	b, err := s.elsewhere(ctx, desc)
	if err != nil {
		return nil, &ForeignError{Err: err, URLs: len(desc.URLs), Followed: true}
	}
	return b, nil
}

func (s *Source) elsewhere(ctx context.Context, desc ocispec.Descriptor) (*content.Reader, error) {
	if r, ok := s.origin.(*remote.Repository); ok {
		return r.Foreign(ctx, desc)
	}
	return s.client.network().Foreign(ctx, desc)
}
