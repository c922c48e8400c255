// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/pull"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// Pulled is an image that is complete and durable in the store.
type Pulled struct {
	Resolution
	Image overlaystore.Image
	// Fetched counts the layers that were not in the store before.
	Fetched int
	// Traffic is what each host has sent of the layers, in the order in which
	// the hosts were first used; it is empty for layouts and archives.
	Traffic []registry.Traffic
	// Warnings are what a user should know of this image, one line each.
	Warnings []string
}

// Pull fetches the image that ref means for the client's platform and unpacks
// its layers into the store, in parallel. It fetches only layers that the store
// does not have, and writes no compressed blob unless [Options.KeepBlobs] is set.
//
// When Pull returns without an error the image is complete, verified and
// durable, and ref names it. After an error nothing of the image is visible in
// the store, but the layers that were finished by then wait there for the next
// pull, which uses those that are whole. They survive any end of this process,
// and a power cut that comes some seconds after a layer was finished.
func (c *Client) Pull(ctx context.Context, store *overlaystore.Store, ref string) (Pulled, error) {
	var r pull.Result
	paths := unpack.NewPaths(c.options.Memory, c.options.Windows)
	defer paths.Release()
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		r, err = c.pull(store, s, paths).Run(ctx)
		return err
	})
	if err != nil {
		return Pulled{}, err
	}
	return Pulled{
		Resolution: Resolution(r.Resolution), Image: r.Image, Fetched: r.Fetched, Traffic: r.Traffic, Warnings: r.Warnings,
	}, nil
}

// pull prepares a pull of s into a store; paths bounds the memory for paths.
func (c *Client) pull(store *overlaystore.Store, s *source.Source, paths *unpack.Paths) *pull.Pull {
	o := c.measured
	o.Jobs, o.Strict, o.Limits, o.Windows = c.options.Jobs, c.options.Strict, c.options.Limits, c.options.Windows
	o.Devices, o.Paths, o.Logger, o.Layers = c.options.Devices, paths, c.log, c.options.Layers
	if ask := c.options.Admit; ask != nil {
		o.Admit = func(ctx context.Context, r source.Resolution, l []digest.Digest) error {
			return ask(ctx, Resolution(r), l)
		}
	}
	o.Judge = func(ctx context.Context, r source.Resolution) error { return c.judge().Admit(ctx, s, r, store) }
	o.Trust = func(ctx context.Context, r source.Resolution) error { return c.judge().AdmitInto(ctx, s, r, store) }
	return pull.New(c.fetcher(s), store, o)
}

// fetcher returns what fetches the layers of s.
func (c *Client) fetcher(s *source.Source) *fetch.Fetcher {
	return fetch.New(s, fetch.Options{Progress: c.options.Progress, Buffers: c.buffers, Logger: c.log})
}

// DefaultJobs is how many layers a pull fetches and unpacks at a time where
// [Options.Jobs] is 0: as many as there are processors, but two to four.
func DefaultJobs() int { return fetch.Jobs(0) }
