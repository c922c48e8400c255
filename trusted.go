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

// HasPolicy says whether [Options.Trust] is set.
func (c *Client) HasPolicy() bool { return c.options.Trust != nil }

// JudgeOptions say what [Client.Judge] judges; the zero value means the image for
// the client's platform.
type JudgeOptions struct {
	// At is a digest to which the reference was resolved before; "" resolves it.
	At digest.Digest
	// Whole judges an index as such, and not the image that is chosen from it.
	Whole bool
}

// Judge asks the client's policy about what ref means, without fetching a layer.
// Its error is a [*trust.RefusedError] where the policy refuses the image.
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
			r.Root, _, err = s.Root(ctx) // the caller takes another image of this index
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

// JudgeStored asks the client's policy about an image that the store has under
// the name ref. Where the image met the same policy when it was pulled, the store
// remembers that and no registry is asked.
func (c *Client) JudgeStored(ctx context.Context, store *overlaystore.Store, ref string, img overlaystore.Image) error {
	return c.judge().Stored(ctx, store, ref, img)
}

// judge returns what applies the client's policy.
func (c *Client) judge() trusted.Judge {
	return trusted.Judge{Policy: c.options.Trust, Memory: c.memory, With: c.with}
}
