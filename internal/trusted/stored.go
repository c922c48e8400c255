// SPDX-License-Identifier: Apache-2.0

package trusted

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust"
)

// Judge accepts images by a policy.
type Judge struct {
	Policy *trust.Policy // nil accepts all images
	// Memory must be set.
	Memory *Memory
	// With opens a reference for the call of use.
	With func(ctx context.Context, ref string, use func(*source.Source) error) error
}

// Stored asks the policy about an image that the store has by the name ref. If the store
// has a record that the image has met the same policy before, nobody is asked.
func (j Judge) Stored(ctx context.Context, store *overlaystore.Store, ref string, img overlaystore.Image) error {
	if j.Policy == nil {
		return nil
	}
	name, err := registry.Parse(ref)
	if err != nil {
		return err
	}
	asked, err := j.Policy.Asks(name)
	if err != nil {
		return err
	}
	rec, found := find(store.Dir(), name.String(), img.Manifest)
	if asked.Nothing || found && rec.Asked == asked.Digest {
		return nil
	}
	var at []digest.Digest
	if found && rec.Root != img.Manifest {
		at = append(at, rec.Root)
	}
	if err = j.named(ctx, store, ref, img.Manifest); !errors.Is(err, errMoved) && errkind.Of(err) != errkind.NotFound {
		return err
	}
	return j.pinned(ctx, store, name, append(at, img.Manifest))
}

// errMoved says that a name now means another image.
var errMoved = errors.New("the name means another image now")

// named judges what ref means, if that is still the image of the manifest.
func (j Judge) named(ctx context.Context, store *overlaystore.Store, ref string, manifest digest.Digest) error {
	return j.With(ctx, ref, func(s *source.Source) error {
		r, err := s.Resolve(ctx)
		if err == nil && r.Manifest.Digest != manifest {
			err = errMoved
		}
		if err != nil {
			return err
		}
		return j.AdmitInto(ctx, s, r, store)
	})
}

// pinned judges a manifest by its digest, and the index before it in at if there is one,
// under the name of the image.
func (j Judge) pinned(ctx context.Context, store *overlaystore.Store, name registry.Reference, at []digest.Digest) error {
	r := source.Resolution{Reference: name}
	for _, d := range at[:len(at)-1] {
		err := j.With(ctx, name.WithDigest(d).String(), func(s *source.Source) (err error) {
			r.Root, _, err = s.Root(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return j.With(ctx, name.WithDigest(at[len(at)-1]).String(), func(s *source.Source) (err error) {
		r.Manifest, _, err = s.Root(ctx)
		if err == nil && r.Root.Digest == "" {
			r.Root = r.Manifest
		}
		if err == nil {
			_, _, err = j.ask(ctx, s, &r, store)
		}
		return err
	})
}

// Ask asks the policy about what s has opened and resolved. It uses no records and keeps
// none. The error names the reference.
func (j Judge) Ask(ctx context.Context, s *source.Source, r source.Resolution) (trust.Verdict, error) {
	v, _, err := j.ask(ctx, s, &r, nil)
	return v, err
}

// ask asks the policy, in the order that experience of the repository suggests: that of
// the Memory and, unless it is nil, of the store. It adds to the Memory.
func (j Judge) ask(ctx context.Context, s *source.Source, r *source.Resolution, store *overlaystore.Store) (trust.Verdict, experience, error) {
	var known experience
	asked, err := j.Policy.Asks(r.Reference)
	if err != nil {
		return trust.Verdict{}, known, err
	}
	if !asked.Nothing {
		known = j.Memory.of(r.Reference, store)
	}
	v, known, err := judge(ctx, s, r, j.Policy, known.order(asked.Names), known)
	j.Memory.keep(r.Reference, known)
	if err != nil {
		err = fmt.Errorf("judge %s: %w", r.Reference, err)
	}
	return v, known, err
}

// Admit asks the policy about what s has opened and resolved, and if it accepts that lets
// its layers be read ([source.Source.Admit]). It does not ask if the store has a record
// that the image has met the same policy; store may be nil.
func (j Judge) Admit(ctx context.Context, s *source.Source, r source.Resolution, store *overlaystore.Store) error {
	_, _, err := j.admitted(ctx, s, &r, store)
	return err
}

// AdmitInto is [Judge.Admit] for an image that will be put into the store, where it keeps
// a record.
func (j Judge) AdmitInto(ctx context.Context, s *source.Source, r source.Resolution, store *overlaystore.Store) error {
	v, known, err := j.admitted(ctx, s, &r, store)
	if err != nil || len(v.Accepted) == 0 {
		return err
	}
	rec := newRecord(r.Reference.String(), r.Root.Digest, r.Manifest.Digest, v)
	rec.Unlisted = known.unlisted
	return put(ctx, store.Dir(), rec, func(d digest.Digest) bool { _, err := store.Image(d); return err == nil })
}

// admitted does what Admit promises. It returns the verdict, which is zero if the policy
// was not asked, and what is known of the repository after that.
func (j Judge) admitted(ctx context.Context, s *source.Source, r *source.Resolution, store *overlaystore.Store) (v trust.Verdict, known experience, err error) {
	if j.Policy == nil {
		return v, known, nil
	}
	asked, err := j.Policy.Asks(r.Reference)
	if err != nil {
		return v, known, err
	}
	had := false
	if store != nil {
		rec, found := find(store.Dir(), r.Reference.String(), r.Manifest.Digest)
		had = found && rec.Asked == asked.Digest
	}
	if !had {
		v, known, err = j.ask(ctx, s, r, store)
	}
	if err == nil {
		s.Admit()
	}
	return v, known, err
}
