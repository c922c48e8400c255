// SPDX-License-Identifier: Apache-2.0

// Package trusted has policies judge what a source opened, by the signatures
// that lie beside it, and keeps in a store which image was let in by what:
// trust/<hex>.json, one file for a reference and a manifest.
package trusted

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/referrers"
	"github.com/layerctl/layerctl/trust"
)

// judge asks a policy about the image that s opened. Where it wants a signature
// that is one request for the list of what refers to the index or manifest, one
// for a bundle's manifest and one for the bundle; or else one for cosign's tag,
// and one for the payload. A registry without that list costs one more.
func judge(ctx context.Context, s *source.Source, r source.Resolution, policy *trust.Policy) (trust.Verdict, error) {
	i := trust.Image{Reference: r.Reference}
	read := func(desc ocispec.Descriptor) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) { return s.Manifest(ctx, desc) }
	}
	for n, desc := range []ocispec.Descriptor{r.Root, r.Manifest} {
		if n == 0 || desc.Digest != r.Root.Digest {
			i.Subjects = append(i.Subjects, trust.Subject{Digest: desc.Digest, Read: read(desc)})
		}
	}
	return policy.Judge(ctx, i, finder(s, referrers.ByAPI, referrers.ByFallback), finder(s, referrers.ByTag))
}

// finder finds signatures in some of the places where they lie.
func finder(s *source.Source, places ...referrers.Place) trust.Finder {
	f := referrers.New(s, referrers.Options{
		Kinds: []referrers.Kind{referrers.Signature}, Places: places, Max: maxSignatures, Requests: maxRequests, Bytes: maxBytes,
	})
	return func(ctx context.Context, of digest.Digest) ([]trust.Signature, error) {
		found, err := f.Of(ctx, of, nil)
		var list []trust.Signature
		for _, a := range found {
			list = append(list, trust.Signature{Form: a.Form, Blob: a.Blob, Read: s.Config, Err: a.Err})
		}
		return list, err
	}
}

// What an image's signatures may cost, beside their payloads.
const (
	maxSignatures = 1000
	maxRequests   = 64
	maxBytes      = 16 << 20
)
