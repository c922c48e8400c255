// SPDX-License-Identifier: Apache-2.0

package referrers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/manifest"
)

// Source is where an image came from: a [registry.Source] is one.
type Source interface {
	// Referrers lists who names the digest as its subject; an error that matches
	// errors.ErrUnsupported says that nobody keeps such a list.
	Referrers(ctx context.Context, of digest.Digest) ([]ocispec.Descriptor, error)
	// DescribeTag and ReadTag say what another tag of the same repository stands
	// for; an error that matches [errkind.NotFound] says that there is none.
	DescribeTag(ctx context.Context, tag string) (ocispec.Descriptor, error)
	ReadTag(ctx context.Context, tag string) (ocispec.Descriptor, []byte, error)
	// Manifest reads an index or a manifest and verifies it.
	Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
}

// Options say what is looked for; the zero value looks for all.
type Options struct {
	// Kinds are those that are wanted; nil means all. What could be one of them
	// is read to see.
	Kinds []Kind
	// Places are those that are looked at; nil means all. ByAPI without ByFallback
	// has an error that matches errors.ErrUnsupported where nobody keeps a list,
	// and ByFallback without ByAPI asks for no list first.
	Places []Place
	// Brief leaves it at what the lists of attachments say: no manifest is read.
	Brief bool
	// Below looks for signatures of what is found, one level down; it costs two
	// requests for each that is no signature itself and not in an index.
	Below bool
	// Max bounds the attachments of one digest; 0 means 100.
	Max int
	// Requests and Bytes bound what all calls of a Finder together may cost; 0
	// means 500, and 32 MiB of manifests.
	Requests int
	Bytes    int64
}

// Finder looks for attachments in one source. It may be used concurrently.
type Finder struct {
	from    Source
	options Options

	mu       sync.Mutex
	requests int
	bytes    int64
}

// New makes a Finder. It asks nothing.
func New(from Source, o Options) *Finder {
	if o.Max <= 0 {
		o.Max = 100
	}
	if o.Requests <= 0 {
		o.Requests = 500
	}
	if o.Bytes <= 0 {
		o.Bytes = 32 << 20
	}
	return &Finder{from: from, options: o}
}

// Of finds what belongs to a digest. index are the entries of the index in which
// it stands, for BuildKit's; nil where there is none.
//
// What is found is returned also with an error, which says what could not be
// asked, or that there is more than may be looked at: an [errkind.Malformed].
// That nothing is there is none.
func (f *Finder) Of(ctx context.Context, of digest.Digest, index []ocispec.Descriptor) ([]Attachment, error) {
	s := search{Finder: f, of: of, seen: map[digest.Digest]bool{}}
	var errs []error
	for _, look := range []func(context.Context) error{
		func(ctx context.Context) error { return s.inIndex(ctx, index) },
		s.listed,
		func(ctx context.Context) error { return s.tagged(ctx, manifest.TagSignature, Signature) },
		func(ctx context.Context) error {
			return s.tagged(ctx, manifest.TagAttestation, Attestation, SBOM, Provenance)
		},
		func(ctx context.Context) error { return s.tagged(ctx, manifest.TagSBOM, SBOM) },
	} {
		err := look(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs = append(errs, err)
		if errors.Is(err, errEnough) {
			break
		}
	}
	if f.options.Below {
		errs = append(errs, s.below(ctx))
	}
	return s.found, errors.Join(errs...)
}

// errEnough says that there is more than may be looked at.
var errEnough = errkind.New(errkind.Malformed, "more attachments than are looked at")

// search is one call of Of.
type search struct {
	*Finder
	of    digest.Digest
	seen  map[digest.Digest]bool // manifests
	found []Attachment
}

// spend counts a request before it is sent, and the bytes that it may bring.
func (f *Finder) spend(bytes int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.requests == f.options.Requests || bytes > f.options.Bytes-f.bytes {
		return fmt.Errorf("%w: %d requests and %d bytes of manifests are the limit", errEnough, f.options.Requests, f.options.Bytes)
	}
	f.requests++
	f.bytes += bytes
	return nil
}

// wants says whether one of the kinds is wanted.
func (f *Finder) wants(kinds ...Kind) bool {
	return f.options.Kinds == nil || slices.ContainsFunc(kinds, func(k Kind) bool { return slices.Contains(f.options.Kinds, k) })
}

// visits says whether one of the places is looked at.
func (f *Finder) visits(places ...Place) bool {
	return f.options.Places == nil || slices.ContainsFunc(places, func(p Place) bool { return slices.Contains(f.options.Places, p) })
}

// inIndex finds BuildKit's attestations, which are of every kind but signatures.
func (s *search) inIndex(ctx context.Context, index []ocispec.Descriptor) error {
	if !s.wants(SBOM, Provenance, Attestation) || !s.visits(InIndex) {
		return nil
	}
	for _, desc := range index {
		if of, ok := manifest.IsAttestation(desc); !ok || of != s.of.String() {
			continue
		}
		if err := s.take(ctx, listed(desc, InIndex, ""), nil); err != nil {
			return err
		}
	}
	return nil
}

// listed finds what names the digest as its subject: by the API, or else in the
// index that the fallback tag names.
func (s *search) listed(ctx context.Context) error {
	if !s.visits(ByAPI, ByFallback) {
		return nil
	}
	if !s.visits(ByAPI) {
		return s.fallback(ctx)
	}
	if err := s.spend(0); err != nil {
		return err
	}
	list, err := s.from.Referrers(ctx, s.of)
	switch {
	case errors.Is(err, errors.ErrUnsupported) && s.visits(ByFallback):
		return s.fallback(ctx)
	case err != nil:
		return err
	}
	for _, desc := range list {
		if err := s.take(ctx, listed(desc, ByAPI, ""), nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *search) fallback(ctx context.Context) error {
	tag := manifest.ReferrersTag(s.of)
	if tag == "" {
		return nil
	}
	if err := s.spend(0); err != nil {
		return err
	}
	desc, raw, err := s.from.ReadTag(ctx, tag)
	switch {
	case errors.Is(err, errkind.NotFound):
		return nil
	case err != nil:
		return err
	}
	index, err := manifest.ParseIndex(raw, desc.MediaType)
	if err != nil {
		return fmt.Errorf("tag %s: %w", tag, err)
	}
	for _, desc := range index.Manifests {
		if err := s.take(ctx, listed(desc, ByFallback, tag), nil); err != nil {
			return err
		}
	}
	return nil
}

// tagged finds what cosign keeps under a tag of its own, which holds one of the
// kinds. Where all are wanted most are not there: a HEAD tells.
func (s *search) tagged(ctx context.Context, suffix string, kinds ...Kind) error {
	tag := manifest.CosignTag(s.of, suffix)
	if tag == "" || !s.wants(kinds...) || !s.visits(ByTag) {
		return nil
	}
	if err := s.spend(0); err != nil {
		return err
	}
	var desc ocispec.Descriptor
	var raw []byte
	var err error
	if s.options.Kinds == nil || s.options.Brief {
		desc, err = s.from.DescribeTag(ctx, tag)
	} else {
		desc, raw, err = s.from.ReadTag(ctx, tag)
	}
	switch {
	case errors.Is(err, errkind.NotFound):
		return nil
	case err != nil:
		return err
	}
	return s.take(ctx, listed(desc, ByTag, tag), raw)
}

// take reads what was found, if raw is not what it reads, and notes the
// attachments in it that are wanted.
func (s *search) take(ctx context.Context, a Attachment, raw []byte) error {
	if s.seen[a.Manifest.Digest] {
		return nil
	}
	s.seen[a.Manifest.Digest] = true
	if s.options.Brief {
		return s.note(a)
	}
	if !s.mayHold(a) {
		return nil
	}
	if manifest.IsIndex(a.Manifest.MediaType) {
		return s.note(a) // of what it lists nothing is known to be about the digest
	}
	m, err := s.read(ctx, a, raw)
	switch {
	case errors.Is(err, errEnough) || ctx.Err() != nil:
		return err
	case err != nil:
		a.Err = err
		return s.note(a)
	}
	for _, one := range contents(a, m) {
		if err := s.note(one); err != nil {
			return err
		}
	}
	return nil
}

// mayHold says whether reading the manifest may bring a kind that is wanted.
func (s *search) mayHold(a Attachment) bool {
	if s.wants(a.Kind) {
		return true
	}
	untold := a.PredicateType == "" && s.wants(SBOM, Provenance, Attestation)
	switch a.Kind {
	case Attestation:
		return untold
	case Signature:
		return untold && a.Form == formBundle
	case Artifact:
		return slices.Contains(vague[:], a.Type)
	}
	return false
}

func (s *search) note(a Attachment) error {
	if a.Err == nil && !s.wants(a.Kind) {
		return nil
	}
	if len(s.found) == s.options.Max {
		return fmt.Errorf("%w: %s has more than %d", errEnough, s.of, s.options.Max)
	}
	s.found = append(s.found, a)
	return nil
}

// read reads and parses a manifest, which must name the digest where its place
// is a list of those that do.
func (s *search) read(ctx context.Context, a Attachment, raw []byte) (*manifest.Manifest, error) {
	if raw == nil {
		if err := s.spend(min(a.Manifest.Size, manifest.MaxManifestSize)); err != nil {
			return nil, err
		}
		var err error
		if raw, err = s.from.Manifest(ctx, a.Manifest); err != nil {
			return nil, err
		}
	}
	m, err := manifest.ParseManifest(raw, a.Manifest.MediaType)
	if err != nil {
		return nil, fmt.Errorf("attachment %s: %w", a.Manifest.Digest, err)
	}
	named := m.Subject != nil && m.Subject.Digest == s.of
	if (a.Place == ByAPI || a.Place == ByFallback) && !named || m.Subject != nil && !named {
		return nil, errkind.With(errkind.Malformed, fmt.Errorf("attachment %s does not name %s as its subject", a.Manifest.Digest, s.of))
	}
	return m, nil
}

// below finds the signatures of what was found: those of one manifest stand
// with the first attachment of it.
func (s *search) below(ctx context.Context) error {
	var errs []error
	asked := map[digest.Digest]bool{}
	for i := range s.found {
		a := &s.found[i]
		d := a.Manifest.Digest
		if a.Kind == Signature || a.Place == InIndex || a.Err != nil || asked[d] {
			continue
		}
		asked[d] = true
		f := search{Finder: s.Finder, of: d, seen: map[digest.Digest]bool{}}
		errs = append(errs, f.listed(ctx), f.tagged(ctx, manifest.TagSignature, Signature))
		for _, found := range f.found {
			if found.Kind == Signature {
				a.Below = append(a.Below, found)
			}
		}
	}
	return errors.Join(errs...)
}
