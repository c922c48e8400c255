// SPDX-License-Identifier: Apache-2.0

// Package trusted asks policies about images that a source has opened, by their
// signatures in the same place. It keeps records in a store of why images were accepted:
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

// subjectSearch is the search for the signatures of one image's subjects.
type subjectSearch struct {
	source *source.Source
	// listed says that the registry has a list of referrers, so that the fallback tag is
	// not used. unlisted says that it has none. Both are false before it was asked.
	listed, unlisted bool
}

// judge asks a policy about the image that s has opened. It looks for signatures in that
// order, and only if the policy asks for some, and returns what is known of the repository
// after that. A list of referrers, or the fallback tag, takes one request, and each bundle
// in it one for its manifest and one for itself; cosign's tag takes one request, and its
// payload another.
func judge(ctx context.Context, s *source.Source, r *source.Resolution, policy *trust.Policy, order []location, known experience) (trust.Verdict, experience, error) {
	search := &subjectSearch{source: s}
	find := map[referrers.Place]trust.Finder{}
	i := trust.Image{Reference: r.Reference}
	for _, at := range order {
		desc := &r.Root
		if at.child {
			desc = &r.Manifest
		}
		if at.child && desc.Digest == r.Root.Digest {
			continue
		}
		if find[at.place] == nil {
			find[at.place] = search.finder(at.place)
		}
		i.Subjects = append(i.Subjects, trust.Subject{
			Digest: desc.Digest, Find: find[at.place],
			Read: func(ctx context.Context) ([]byte, error) { return s.Manifest(ctx, *desc) },
		})
	}
	v, err := policy.Judge(ctx, i)
	if search.unlisted && !s.Offline() {
		known.unlisted = true
	}
	if err == nil && len(v.Accepted) > 0 {
		a := v.Accepted[0]
		known = known.with(location{a.Subject != r.Root.Digest, referrers.Place(a.Place)})
	}
	return v, known, err
}

// finder returns a finder of signatures in one place.
func (s *subjectSearch) finder(place referrers.Place) trust.Finder {
	f := referrers.New(s.source, referrers.Options{
		Kinds: []referrers.Kind{referrers.Signature}, Places: []referrers.Place{place}, Max: maxSignatures, Requests: maxRequests, Bytes: maxBytes,
	})
	return func(ctx context.Context, of digest.Digest) ([]trust.Signature, error) {
		if place == referrers.ByFallback && s.listed {
			return nil, nil
		}
		found, err := f.Of(ctx, of, nil)
		if place == referrers.ByAPI {
			s.unlisted = errors.Is(err, errors.ErrUnsupported)
			s.listed = !s.unlisted
			if s.unlisted {
				err = nil
			}
		}
		var list []trust.Signature
		for i := range found {
			list = append(list, signature(s.source, &found[i]))
		}
		return list, err
	}
}

// signature makes a signature to verify of an attachment.
func signature(s *source.Source, a *referrers.Attachment) trust.Signature {
	return trust.Signature{Form: a.Form, Place: string(a.Place), Blob: a.Blob, Read: s.Config, Err: a.Err}
}

// Checks returns a function that judges a single signature of what s has opened: it
// returns the key by which the policy would accept the image for this signature alone, and
// the image's name in it. Both are "" if the policy asks for no signature.
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

// Bounds on the signatures of an image in one place, without their payloads.
const (
	maxSignatures = 1000
	maxRequests   = 64
	maxBytes      = 16 << 20
)
