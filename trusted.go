// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/trusted"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust"
)

// Judged is an image that the client's policy lets in, and why.
type Judged struct {
	Resolution
	trust.Verdict
}

// HasPolicy says that the client goes by one.
func (c *Client) HasPolicy() bool { return c.options.Trust != nil }

// Judge asks the client's policy about the image that ref means, or at gives
// under that name if it is not "", without fetching a layer. The error is a
// [*trust.RefusedError] where it does not let the image in.
func (c *Client) Judge(ctx context.Context, ref string, at digest.Digest) (j Judged, err error) {
	name, err := registry.Parse(ref)
	if err != nil {
		return j, err
	}
	if at != "" {
		ref = name.WithDigest(at).String()
	}
	err = c.with(ctx, ref, func(s *source.Source) error {
		r, err := s.Resolve(ctx)
		r.Reference = name
		if errors.Is(err, platform.ErrNoMatch) && at != "" {
			r.Root, _, err = s.Root(ctx) // whoever names it takes another of its images
			r.Manifest = r.Root
		}
		if err == nil {
			j.Resolution = Resolution(r)
			j.Verdict, err = c.judge(ctx, s, r)
		}
		return err
	})
	return j, err
}

// JudgeStored asks the client's policy about an image that the store has by the
// name ref. What met all that the policy asks when the image came meets it now:
// then nobody is asked.
func (c *Client) JudgeStored(ctx context.Context, store *overlaystore.Store, ref string, img overlaystore.Image) error {
	if c.options.Trust == nil {
		return nil
	}
	name, err := registry.Parse(ref)
	if err != nil {
		return err
	}
	asked, err := c.options.Trust.Asks(name)
	if err != nil {
		return err
	}
	rec, found := trusted.Find(store.Dir(), name.String(), img.Manifest)
	if asked.Nothing || found && rec.Asked == asked.Digest {
		return nil
	}
	var at []digest.Digest
	if found && rec.Root != img.Manifest {
		at = append(at, rec.Root)
	}
	if err = c.judgeNamed(ctx, store, ref, img.Manifest); !errors.Is(err, errMoved) && errkind.Of(err) != errkind.NotFound {
		return err
	}
	return c.judgePinned(ctx, name, append(at, img.Manifest))
}

// errMoved says that a name means another image by now.
var errMoved = errors.New("the name means another image now")

// judgeNamed judges what ref means, if that is still the image.
func (c *Client) judgeNamed(ctx context.Context, store *overlaystore.Store, ref string, manifest digest.Digest) error {
	return c.with(ctx, ref, func(s *source.Source) error {
		r, err := s.Resolve(ctx)
		if err == nil && r.Manifest.Digest != manifest {
			err = errMoved
		}
		if err != nil {
			return err
		}
		return c.admitInto(ctx, s, r, store)
	})
}

// judgePinned judges an index and a manifest by their digests, or a manifest
// alone, under the name that the image has.
func (c *Client) judgePinned(ctx context.Context, name registry.Reference, at []digest.Digest) error {
	r := source.Resolution{Reference: name}
	for _, d := range at[:len(at)-1] {
		err := c.with(ctx, name.WithDigest(d).String(), func(s *source.Source) (err error) {
			r.Root, _, err = s.Root(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return c.with(ctx, name.WithDigest(at[len(at)-1]).String(), func(s *source.Source) (err error) {
		r.Manifest, _, err = s.Root(ctx)
		if err == nil && r.Root.Digest == "" {
			r.Root = r.Manifest
		}
		if err == nil {
			_, err = c.judge(ctx, s, r)
		}
		return err
	})
}

// judge asks the policy; the error names the reference.
func (c *Client) judge(ctx context.Context, s *source.Source, r source.Resolution) (trust.Verdict, error) {
	v, err := trusted.Judge(ctx, s, r, c.options.Trust)
	if err != nil {
		err = fmt.Errorf("judge %s: %w", r.Reference, err)
	}
	return v, err
}

// admit lets what s opened and resolved in, or not. What a store, nil for none,
// has a record of need not be judged again.
func (c *Client) admit(ctx context.Context, s *source.Source, r source.Resolution, store *overlaystore.Store) error {
	_, err := c.admitted(ctx, s, r, store)
	return err
}

// admitInto is admit for what is put into the store, which is told.
func (c *Client) admitInto(ctx context.Context, s *source.Source, r source.Resolution, store *overlaystore.Store) error {
	v, err := c.admitted(ctx, s, r, store)
	if err != nil || len(v.Accepted) == 0 {
		return err
	}
	rec := trusted.NewRecord(r.Reference.String(), r.Root.Digest, r.Manifest.Digest, v)
	return trusted.Put(ctx, store.Dir(), rec, func(d digest.Digest) bool { _, err := store.Image(d); return err == nil })
}

// admitted is the verdict, the zero one where nobody had to judge.
func (c *Client) admitted(ctx context.Context, s *source.Source, r source.Resolution, store *overlaystore.Store) (v trust.Verdict, err error) {
	if c.options.Trust == nil {
		return v, nil
	}
	known := false
	if store != nil {
		asked, err := c.options.Trust.Asks(r.Reference)
		if err != nil {
			return v, err
		}
		rec, found := trusted.Find(store.Dir(), r.Reference.String(), r.Manifest.Digest)
		known = found && rec.Asked == asked.Digest
	}
	if !known {
		v, err = c.judge(ctx, s, r)
	}
	if err == nil {
		s.Admit()
	}
	return v, err
}
