// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/containers"
	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaystore"
)

// Users lists the containers of the engine's namespace, running or not, that use an
// image of the store: those that were made from one of the names that the image got
// there, and those whose snapshot is on top of the image's layers. For an image
// without layers only the names count.
func (e *Engine) Users(ctx context.Context, store *overlaystore.Store, img overlaystore.Image) ([]string, error) {
	users, err := e.users(ctx, store, img)
	if err != nil {
		return nil, fmt.Errorf("ask %s who uses %s: %w", e.at.Address, img.Manifest, err)
	}
	return users, nil
}

func (e *Engine) users(ctx context.Context, store *overlaystore.Store, img overlaystore.Image) ([]string, error) {
	names, err := e.givenNames(store, img.Manifest)
	if err != nil {
		return nil, err
	}
	top := ""
	if chains := chainIDs(img.Layers); len(chains) > 0 {
		top = chains[len(chains)-1].String()
	}
	calls, cancel := context.WithTimeout(e.in(ctx, ""), patience)
	defer cancel()
	list, err := containers.List(calls, e.conn)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, c := range list {
		uses := slices.Contains(names, c.Image)
		if !uses && top != "" && c.Snapshotter == e.at.Snapshotter && c.SnapshotKey != "" {
			if uses, err = e.standsOn(ctx, c.SnapshotKey, top); err != nil {
				return nil, err
			}
		}
		if uses {
			users = append(users, c.ID)
		}
	}
	return users, nil
}

// givenNames returns the names that the store has given an image in this engine.
func (e *Engine) givenNames(store *overlaystore.Store, manifest digest.Digest) ([]string, error) {
	list, err := given.List(store.Dir())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range list {
		if r.Kind == given.Containerd && r.Address == e.at.Address && r.Namespace == e.at.Namespace && r.Manifest == manifest {
			for _, n := range r.AllNames() {
				names = append(names, n.Name)
			}
		}
	}
	return names, nil
}

// standsOn reports whether the snapshot key has top as its parent, or a copy of top
// for a user namespace, whose key begins with that of top.
func (e *Engine) standsOn(ctx context.Context, key, top string) (bool, error) {
	answer, err := e.snapshots.Stat(e.in(ctx, ""), &snapshots.StatSnapshotRequest{Snapshotter: e.at.Snapshotter, Key: key})
	switch {
	case failure.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, failure.Explain(err)
	}
	parent := answer.Info.GetParent()
	return parent == top || strings.HasPrefix(parent, top+"-"), nil
}
