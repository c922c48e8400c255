// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

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

// JudgeOptions say what of a reference is judged; the zero value the image for
// the client's platform.
type JudgeOptions struct {
	// At is the digest that the reference was resolved to before; "" resolves it.
	At digest.Digest
	// Whole judges what the reference names, all of an index, and not the image
	// that is chosen from it.
	Whole bool
}

// Judge asks the client's policy about what ref means, without fetching a layer.
// The error is a [*trust.RefusedError] where it does not let it in.
func (c *Client) Judge(ctx context.Context, ref string, o JudgeOptions) (j Judged, err error) {
	name, err := registry.Parse(ref)
	if err != nil {
		return j, err
	}
	if o.At != "" {
		ref = name.WithDigest(o.At).String()
	}
	err = c.with(ctx, ref, func(s *source.Source) error {
		r, err := source.Resolution{}, error(platform.ErrNoMatch)
		if !o.Whole {
			r, err = s.Resolve(ctx)
		}
		r.Reference = name
		if errors.Is(err, platform.ErrNoMatch) && (o.Whole || o.At != "") {
			r.Root, _, err = s.Root(ctx) // whoever names it takes another of its images
			r.Manifest = r.Root
		}
		if err == nil {
			j.Resolution = Resolution(r)
			j.Verdict, err = c.judge().Ask(ctx, s, r)
		}
		return err
	})
	return j, err
}

// JudgeStored asks the client's policy about an image that the store has by the
// name ref. What met all that the policy asks when the image came meets it now:
// then nobody is asked.
func (c *Client) JudgeStored(ctx context.Context, store *overlaystore.Store, ref string, img overlaystore.Image) error {
	return c.judge().Stored(ctx, store, ref, img)
}

// judge lets images in by the client's policy.
func (c *Client) judge() trusted.Judge {
	return trusted.Judge{Policy: c.options.Trust, Memory: c.memory, With: c.with}
}
