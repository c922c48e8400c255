// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/shortname"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust/internal/policy"
	"github.com/layerctl/layerctl/trust/internal/sigstore"
)

// Image is an image that is judged.
type Image struct {
	// Reference is the reference that the user gave.
	Reference registry.Reference
	// Subjects lists what may be signed, and the places for signatures of it, in the
	// order in which they are searched: the index that the reference names and the
	// manifest that was chosen from it, once for each place.
	Subjects []Subject
}

// Subject is an index or a manifest, and one place for its signatures.
type Subject struct {
	Digest digest.Digest
	// Read reads its bytes. They must be verified: their digest is Digest.
	Read func(context.Context) ([]byte, error)
	// Find finds signatures of it; nil finds none.
	Find Finder
}

// Signature is a signature that was found for a subject and is not verified yet.
type Signature struct {
	// Form is its form, for messages if it is not understood.
	Form string
	// Place is where it was found. [Accepted] repeats it.
	Place string
	// Blob describes the payload of a simple signing, with its annotations, or a bundle.
	Blob ocispec.Descriptor
	// Read reads the blob and verifies its digest.
	Read func(context.Context, ocispec.Descriptor) ([]byte, error)
	// Err says why it cannot be read; nil if it can.
	Err error
}

// Finder finds the signatures of a subject. Those that it returns beside an error are
// used, too.
type Finder func(context.Context, digest.Digest) ([]Signature, error)

// Verdict says why an image was accepted.
type Verdict struct {
	Asks
	// Accepted lists the signatures that were accepted, one for each requirement that
	// asks for one.
	Accepted []Accepted
}

// Accepted is a signature that was accepted.
type Accepted struct {
	// Key is the fingerprint of the key: "sha256:" and the hash of its
	// SubjectPublicKeyInfo.
	Key string `json:"key"`
	// Form is "simple signing" or "bundle". Place is where it was found.
	Form  string `json:"form"`
	Place string `json:"place,omitempty"`
	// Subject is what was signed, and Signature the blob of the signature.
	Subject   digest.Digest `json:"subject"`
	Signature digest.Digest `json:"signature"`
	// Reference is the image's name in the signature; "" for a bundle, which has none.
	Reference string `json:"reference,omitempty"`
}

// maxSignatures bounds how many signatures of a subject are verified.
const maxSignatures = 1000

// Judge accepts an image, or says in a [*RefusedError] why not. It looks for signatures
// only if the policy asks for some, in one subject after the other until all requirements
// are met. Where they are not met and some signatures could not be read, the error is
// that of the reading.
func (p *Policy) Judge(ctx context.Context, image Image) (Verdict, error) {
	name := nameOf(image.Reference)
	list, err := p.demands(name)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Asks: asks(list)}
	c := &judging{image: image, called: name.Image, refusals: map[int][]error{}, accepted: map[int]Accepted{}}
	for i, d := range list {
		switch d.Kind {
		case policy.Reject:
			return Verdict{}, refuse(d, "it rejects every image")
		case policy.Foreign:
			return Verdict{}, refuse(d, fmt.Sprintf("it asks for what is not understood here: %s", d.What))
		case policy.Signed:
			c.open = append(c.open, i)
		}
	}
	c.demands = list
	if err := c.all(ctx); err != nil {
		return Verdict{}, err
	}
	for i := range list {
		if a, ok := c.accepted[i]; ok {
			v.Accepted = append(v.Accepted, a)
		}
	}
	return v, nil
}

// judging compares the signatures of an image with the demands of a policy. Demands are
// known by their places in the list.
type judging struct {
	image    Image
	called   *shortname.Name
	demands  []*demand
	open     []int            // the demands that no signature has met yet
	accepted map[int]Accepted // the signatures that have met the others
	refusals map[int][]error  // why signatures do not meet a demand
	failed   []error          // why signatures could not be found or read
}

// all verifies the signatures of one subject after the other until all demands are met.
func (j *judging) all(ctx context.Context) error {
	for _, s := range j.image.Subjects {
		if len(j.open) == 0 {
			return nil
		}
		if s.Find == nil {
			continue
		}
		if err := j.subject(ctx, s); err != nil {
			return err
		}
	}
	if len(j.open) == 0 {
		return nil
	}
	if err := errors.Join(j.failed...); err != nil {
		return fmt.Errorf("look for signatures: %w", err)
	}
	first := j.open[0]
	return refuseAll(j.demands[first], j.refusals[first])
}

// subject verifies the signatures of one subject.
func (j *judging) subject(ctx context.Context, s Subject) error {
	manifest, err := s.Read(ctx)
	if err != nil {
		return err
	}
	signatures, err := s.Find(ctx, s.Digest)
	if err != nil {
		j.failed = append(j.failed, err)
	}
	read := map[digest.Digest][]byte{}
	for n := range signatures {
		signature := &signatures[n]
		if len(j.open) == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		if n == maxSignatures {
			j.refuseOpen(fmt.Errorf("there are more than %d, and those are not looked at", maxSignatures))
			break
		}
		raw, err := j.read(ctx, signature, read)
		if err != nil {
			j.refuseOpen(err)
			continue
		}
		j.open = slices.DeleteFunc(j.open, func(i int) bool {
			claim, form, err := j.meets(j.demands[i], signature, raw, manifest)
			if err != nil {
				j.refusals[i] = append(j.refusals[i], err)
				return false
			}
			j.accepted[i] = Accepted{
				Key: claim.Key.Fingerprint(), Form: form, Place: signature.Place,
				Subject: s.Digest, Signature: signature.Blob.Digest, Reference: claim.Reference,
			}
			return true
		})
	}
	return nil
}

// refuseOpen notes for each open demand why a signature does not meet it.
func (j *judging) refuseOpen(err error) {
	for _, i := range j.open {
		j.refusals[i] = append(j.refusals[i], err)
	}
}

// read reads the blob of a signature, unless it is in had: a thousand signatures of one
// image may share a payload.
func (j *judging) read(ctx context.Context, s *Signature, had map[digest.Digest][]byte) ([]byte, error) {
	limit := int64(0)
	switch s.Blob.MediaType {
	case sigstore.SimpleType:
		limit = sigstore.MaxPayload
	case sigstore.BundleType:
		limit = sigstore.MaxBundle
	}
	switch raw, ok := had[s.Blob.Digest]; {
	case s.Err != nil:
		if errkind.Of(s.Err) == errkind.Network {
			j.failed = append(j.failed, s.Err)
		}
		return nil, s.Err
	case limit == 0:
		return nil, fmt.Errorf("its form is not understood here: %.60s", s.Form)
	case s.Blob.Size > limit:
		return nil, fmt.Errorf("it is larger than %d bytes", limit)
	case ok:
		return raw, nil
	case len(had) >= maxBlobs:
		return nil, fmt.Errorf("there are more than %d payloads, and those are not read", maxBlobs)
	}
	raw, err := s.Read(ctx, s.Blob)
	if err != nil {
		j.failed = append(j.failed, err)
		return nil, err
	}
	had[s.Blob.Digest] = raw
	return raw, nil
}

// maxBlobs bounds how many blobs of signatures are read for a subject, and so the
// requests and the memory.
const maxBlobs = 32

// errNamesNothing says that a signature is valid and has no name of the image.
var errNamesNothing = errors.New("it holds, but a bundle names no image")

// meets verifies a signature for a demand. Its error says why the demand is not met.
func (j *judging) meets(d *demand, s *Signature, raw, manifest []byte) (claim sigstore.Claim, form string, err error) {
	if s.Blob.MediaType == sigstore.BundleType {
		claim, err = sigstore.Bundle(raw, manifest, d.keys)
		if err == nil && !d.Identity.Any() {
			err = fmt.Errorf("%w, and the policy asks for a name, %s", errNamesNothing, &d.Identity)
		}
		return claim, "bundle", err
	}
	claim, err = sigstore.Simple(raw, s.Blob.Annotations, manifest, d.keys)
	if err == nil && !d.Identity.Accepts(j.called, claim.Reference) {
		err = fmt.Errorf("it is for %.200q, and the policy asks for another name, %s", claim.Reference, &d.Identity)
	}
	return claim, "simple signing", err
}
