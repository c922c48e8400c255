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

// Source is where an image came from, such as a [registry.Source].
type Source interface {
	// Referrers lists the manifests that name the digest as their subject. An error
	// that matches errors.ErrUnsupported says that there is no such list.
	Referrers(ctx context.Context, of digest.Digest) ([]ocispec.Descriptor, error)
	// DescribeTag and ReadTag return what another tag of the same repository stands
	// for. An error that matches [errkind.NotFound] says that there is no such tag.
	DescribeTag(ctx context.Context, tag string) (ocispec.Descriptor, error)
	ReadTag(ctx context.Context, tag string) (ocispec.Descriptor, []byte, error)
	// Manifest reads an index or a manifest and verifies it.
	Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
}

// Options say what is looked for; the zero value looks for all.
type Options struct {
	// Kinds lists the kinds that are wanted; nil means all. A manifest is read if it
	// may have one of them.
	Kinds []Kind
	// Places lists the places that are searched; nil means all. With ByAPI and without
	// ByFallback, an error matches errors.ErrUnsupported where there is no list of
	// referrers. With ByFallback and without ByAPI the list is not asked for.
	Places []Place
	// Brief reads no manifest, and returns what the lists of referrers say.
	Brief bool
	// Below also looks for signatures of the attachments, by two requests for each that
	// is no signature itself and not in an index.
	Below bool
	// Max bounds the attachments of one digest; 0 means 100.
	Max int
	// Requests and Bytes bound the requests, and the bytes of manifests, of all calls of
	// a Finder together; 0 means 500 requests and 32 MiB.
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

// New returns a Finder. It sends no request.
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

// Of returns the attachments of a digest. index has the entries of the index that lists
// the digest, among which are BuildKit's attestations; nil means that there is none.
//
// Of also returns what it has found if it returns an error: some place could not be
// searched, or a limit of [Options] was reached, which is an [errkind.Malformed]. It is
// no error that there are no attachments.
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

// errEnough says that a limit of [Options] was reached.
var errEnough = errkind.New(errkind.Malformed, "more attachments than are looked at")

// search is one call of Of.
type search struct {
	*Finder
	of    digest.Digest
	seen  map[digest.Digest]bool // the manifests that were found
	found []Attachment
}

// spend counts a request, and the bytes of the manifest that it reads, before it is sent.
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

// wants reports whether one of the kinds is wanted.
func (f *Finder) wants(kinds ...Kind) bool {
	return f.options.Kinds == nil || slices.ContainsFunc(kinds, func(k Kind) bool { return slices.Contains(f.options.Kinds, k) })
}

// visits reports whether one of the places is searched.
func (f *Finder) visits(places ...Place) bool {
	return f.options.Places == nil || slices.ContainsFunc(places, func(p Place) bool { return slices.Contains(f.options.Places, p) })
}

// inIndex finds BuildKit's attestations, which have all kinds but signatures.
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

// listed finds the manifests that name the digest as their subject: by the API, or else
// by the fallback tag.
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

// fallback finds the manifests that the index at the fallback tag lists.
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

// tagged finds what cosign keeps under its tag with the suffix, which may have the kinds.
// If all kinds are wanted, it asks by HEAD first, because most of the tags do not exist.
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

// take reads a manifest that was found, unless raw is its content, and adds the wanted
// attachments in it to found.
func (s *search) take(ctx context.Context, a Attachment, raw []byte) error {
	if s.seen[a.Manifest.Digest] {
		return nil
	}
	s.seen[a.Manifest.Digest] = true
	if s.options.Brief {
		return s.add(a)
	}
	if !s.mayHold(a) {
		return nil
	}
	if manifest.IsIndex(a.Manifest.MediaType) {
		return s.add(a) // nothing says that what an index lists is about the digest
	}
	m, err := s.read(ctx, a, raw)
	switch {
	case errors.Is(err, errEnough) || ctx.Err() != nil:
		return err
	case err != nil:
		a.Err = err
		return s.add(a)
	}
	for _, one := range contents(a, m) {
		if err := s.add(one); err != nil {
			return err
		}
	}
	return nil
}

// mayHold reports whether the manifest may have an attachment of a wanted kind.
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

// add adds an attachment to found, if it is wanted.
func (s *search) add(a Attachment) error {
	if a.Err == nil && !s.wants(a.Kind) {
		return nil
	}
	if len(s.found) == s.options.Max {
		return fmt.Errorf("%w: %s has more than %d", errEnough, s.of, s.options.Max)
	}
	s.found = append(s.found, a)
	return nil
}

// read reads and parses a manifest, unless raw is its content. A manifest from a list of
// referrers must name the digest as its subject, and no other may name another digest.
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

// below finds the signatures of the attachments that were found. If a manifest has
// several attachments, its signatures are those of the first one.
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
