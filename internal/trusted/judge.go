// SPDX-License-Identifier: Apache-2.0

// Package trusted has policies judge what a source opened, by the signatures
// that lie beside it, and keeps in a store which image was let in by what:
// trust/<hex>.json, one file for a reference and a manifest.
package trusted

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/referrers"
	"github.com/layerctl/layerctl/trust"
)

// hearing is the judging of one image.
type hearing struct {
	source *source.Source
	// listed says that the registry was asked for a list of referrers, and has
	// one: then the fallback tag stands for nothing. unlisted says that it has none.
	listed, unlisted bool
}

// judge asks a policy about the image that s opened, and looks for signatures in
// that order; what is known of the repository grows by it. Where the policy wants
// none nobody is asked. A list of referrers costs one request, and a bundle in it
// one for its manifest and one for itself, as by the fallback tag; cosign's tag
// costs one request, and one for the payload.
func judge(ctx context.Context, s *source.Source, r *source.Resolution, policy *trust.Policy, order []look, known experience) (trust.Verdict, experience, error) {
	h := &hearing{source: s}
	find := map[referrers.Place]trust.Finder{}
	i := trust.Image{Reference: r.Reference}
	for _, look := range order {
		desc := &r.Root
		if look.child {
			desc = &r.Manifest
		}
		if look.child && desc.Digest == r.Root.Digest {
			continue
		}
		if find[look.place] == nil {
			find[look.place] = h.finder(look.place)
		}
		i.Subjects = append(i.Subjects, trust.Subject{
			Digest: desc.Digest, Find: find[look.place],
			Read: func(ctx context.Context) ([]byte, error) { return s.Manifest(ctx, *desc) },
		})
	}
	v, err := policy.Judge(ctx, i)
	if h.unlisted && !s.Offline() {
		known.unlisted = true
	}
	if err == nil && len(v.Accepted) > 0 {
		a := v.Accepted[0]
		known = known.with(look{a.Subject != r.Root.Digest, referrers.Place(a.Place)})
	}
	return v, known, err
}

// finder finds signatures in one of the places where they lie.
func (h *hearing) finder(place referrers.Place) trust.Finder {
	f := referrers.New(h.source, referrers.Options{
		Kinds: []referrers.Kind{referrers.Signature}, Places: []referrers.Place{place}, Max: maxSignatures, Requests: maxRequests, Bytes: maxBytes,
	})
	return func(ctx context.Context, of digest.Digest) ([]trust.Signature, error) {
		if place == referrers.ByFallback && h.listed {
			return nil, nil
		}
		found, err := f.Of(ctx, of, nil)
		if place == referrers.ByAPI {
			h.unlisted = errors.Is(err, errors.ErrUnsupported)
			h.listed = !h.unlisted
			if h.unlisted {
				err = nil
			}
		}
		var list []trust.Signature
		for i := range found {
			list = append(list, signature(h.source, &found[i]))
		}
		return list, err
	}
}

func signature(s *source.Source, a *referrers.Attachment) trust.Signature {
	return trust.Signature{Form: a.Form, Place: string(a.Place), Blob: a.Blob, Read: s.Config, Err: a.Err}
}

// Checks says of a signature of what s opened by whose key it would do alone, and
// what it calls the image; no key where the policy asks for none.
func (j Judge) Checks(s *source.Source) func(context.Context, ocispec.Descriptor, *referrers.Attachment) (key, reference string, err error) {
	return func(ctx context.Context, subject ocispec.Descriptor, a *referrers.Attachment) (key, reference string, err error) {
		v, err := j.Policy.Judge(ctx, trust.Image{Reference: s.Reference(), Subjects: []trust.Subject{{
			Digest: subject.Digest,
			Read:   func(ctx context.Context) ([]byte, error) { return s.Manifest(ctx, subject) },
			Find: func(context.Context, digest.Digest) ([]trust.Signature, error) {
				return []trust.Signature{signature(s, a)}, nil
			},
		}}})
		if err != nil || len(v.Accepted) == 0 {
			return "", "", err
		}
		return v.Accepted[0].Key, v.Accepted[0].Reference, nil
	}
}

// What an image's signatures may cost in one place, beside their payloads.
const (
	maxSignatures = 1000
	maxRequests   = 64
	maxBytes      = 16 << 20
)
