// SPDX-License-Identifier: Apache-2.0

package syncing

import (
	"context"
	"errors"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagelist"
	"github.com/layerctl/layerctl/overlaystore"
)

// node is the store and the engines of this machine.
type node struct {
	c       *cli.Context
	store   *overlaystore.Store
	display progress.Display
	givers  map[string]*engines.Giver
	errs    map[string]error // why an engine cannot be reached
	coming  []string         // the engines of the image that is being pulled
}

// Close closes the connections to engines.
func (n *node) Close() error {
	var errs []error
	for _, g := range n.givers {
		errs = append(errs, g.Close())
	}
	return errors.Join(errs...)
}

// begin is called before an image is pulled.
func (n *node) begin(image imagelist.Image, number, of int) {
	n.coming = image.Into
	n.display.Begin(image.Reference, number, of)
}

// layers gives layers of an image to its engines while others are still fetched.
func (n *node) layers(ctx context.Context, layers []digest.Digest) (layerctl.Taker, error) {
	var all []layerctl.Taker
	var both layerctl.Taker
	for _, into := range n.coming {
		g, err := n.giver(into)
		if err != nil {
			continue // Give reports the error
		}
		t, err := g.Begin(ctx, layers)
		if err != nil {
			return layerctl.Taker{}, err
		}
		if t.Came != nil {
			all = append(all, t)
			both.Sync = t.Sync // each syncs the store's filesystem: one is enough
		}
	}
	both.Came = func(diffID digest.Digest, lower *os.File) {
		for _, t := range all {
			t.Came(diffID, lower)
		}
	}
	both.All = func(ctx context.Context) {
		for _, t := range all {
			t.All(ctx)
		}
	}
	return both, nil
}

// ended is called after an image was pulled and given, or failed.
func (n *node) ended(_ imagelist.Image, err error) {
	for _, g := range n.givers {
		g.End()
	}
	if err != nil {
		n.display.Failed(int(errkind.Of(err)), failure.Line(err, n.c.Bool("verbose")))
		return
	}
	n.display.Finish()
}

// giver connects to an engine, once a run.
func (n *node) giver(into string) (*engines.Giver, error) {
	if g := n.givers[into]; g != nil {
		return g, nil
	}
	if err := n.errs[into]; err != nil {
		return nil, err
	}
	g, err := engines.OpenGiver(n.c, n.store, into)
	if err != nil {
		n.errs[into] = err
		return nil, err
	}
	n.givers[into] = g
	return g, nil
}

// Give implements reconcile.Engines.
func (n *node) Give(into string, client *layerctl.Client, image imagelist.Image, stored overlaystore.Image, root digest.Digest) error {
	g, err := n.giver(into)
	if err != nil {
		return err
	}
	return g.GiveAs(client, image.Reference, image.Name, stored, root)
}

// Users implements reconcile.Engines.
func (n *node) Users(ctx context.Context, stored overlaystore.Image) ([]string, error) {
	return engines.Users(ctx, n.c, n.store, stored)
}

// Take implements reconcile.Engines.
func (n *node) Take(manifest digest.Digest) error {
	return engines.TakeRemoved(n.c, n.store, manifest)
}

// Prune implements reconcile.Engines.
func (n *node) Prune() (int64, error) {
	pruned, err := n.store.Prune(n.c.Context, overlaystore.PruneOptions{})
	if err != nil {
		return 0, err
	}
	freed := pruned.Bytes + pruned.Left
	if err := engines.TakeUnwanted(n.c, n.store); err != nil {
		return freed, err
	}
	blobs, err := setup.PruneCache(n.c, n.store, overlaystore.PruneOptions{})
	return freed + blobs.Bytes, err
}
