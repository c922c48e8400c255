// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/registry"
)

// Describe returns the descriptor of what ref names, by a HEAD request. Nothing
// of it is verified: media type, size and a tag's digest are what the registry says.
func (c *Client) Describe(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		desc, err = s.Describe(ctx)
		return err
	})
	return desc, err
}

// Root reads what ref names, an index or a manifest of any kind, in one request.
// The bytes hash to the descriptor's digest; nothing else of them is checked, so
// they may be hostile.
func (c *Client) Root(ctx context.Context, ref string) (ocispec.Descriptor, []byte, error) {
	var desc ocispec.Descriptor
	var raw []byte
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		desc, raw, err = s.Root(ctx)
		return err
	})
	return desc, raw, err
}

// Config reads the exact bytes of the config of the image that ref means for
// the client's platform, without decoding them. The errors are those of
// [Client.Resolve].
func (c *Client) Config(ctx context.Context, ref string) ([]byte, error) {
	d, err := c.Documents(ctx, ref)
	return d.ConfigBytes, err
}

// Inspect describes what ref holds, and which image a pull for the client's
// platform would take; see [inspect.Read]. The client sets Options.Strict,
// Options.Facts and, where it has a policy, Options.Check: here the policy refuses
// nothing, and says of each signature whether it would suffice.
func (c *Client) Inspect(ctx context.Context, ref string, o inspect.Options) (*inspect.Result, error) {
	wanted, err := c.wanted()
	if err != nil {
		return nil, err
	}
	o.Strict = c.options.Strict
	if !wanted.Named {
		o.Facts = c.Host().Facts
	}
	var found *inspect.Result
	err = c.with(ctx, ref, func(s *source.Source) (err error) {
		if c.options.Trust != nil {
			s.Admit() // no layer is read
			o.Check = c.judge().Checks(s)
		}
		found, err = inspect.Read(ctx, s, wanted, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", ref, err)
	}
	return found, nil
}

// Ping asks a registry what it supports; see [registry.Client.Ping].
func (c *Client) Ping(ctx context.Context, name string) (registry.Ping, error) {
	return c.registry.Ping(ctx, name)
}

// KeyFiles lists the files in which credentials are looked for; see
// [registry.Client.KeyFiles].
func (c *Client) KeyFiles() []string { return c.registry.KeyFiles() }

// Mirrors lists what is asked before a registry; see [registry.Client.Mirrors].
func (c *Client) Mirrors(host string) ([]string, error) { return c.registry.Mirrors(host) }
