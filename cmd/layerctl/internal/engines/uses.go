// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaystore"
)

// Users lists the containers that use an image in the containerds that it was given to.
// Podman's image stores are not asked: there an image that is used stays when it is taken.
func Users(ctx context.Context, c *cli.Context, store *overlaystore.Store, img overlaystore.Image) (users []string, err error) {
	list, err := given.List(store.Dir())
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.Manifest != img.Manifest || r.Kind != given.Containerd {
			continue
		}
		more, err := usersIn(ctx, c, store, img, r)
		if err != nil {
			return nil, err
		}
		users = append(users, more...)
	}
	return users, nil
}

func usersIn(ctx context.Context, c *cli.Context, store *overlaystore.Store, img overlaystore.Image, r given.Record) (_ []string, err error) {
	e, err := containerd.Connect(ctx, containerd.Options{Address: r.Address, Namespace: r.Namespace, Snapshotter: r.Snapshotter, Logger: setup.Logger(c)})
	if err != nil {
		return nil, err
	}
	defer func() { err = setup.Closing(err, e) }()
	return e.Users(ctx, store, img)
}
