// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/snapshotdir"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/overlaystore"
)

// Renew fills those layers of an image in the engine anew whose diffIDs are
// stale, from the store, which must have all of it. Each is put in place
// atomically. Containers that are started from then on have the new files; those
// that run go on with the old ones, which the next Verify removes once nothing is
// mounted of the layer, or the engine with the layer. It returns how many layers
// were made.
func (e *Engine) Renew(ctx context.Context, store *overlaystore.Store, img overlaystore.Image, stale []digest.Digest) (renewed int, err error) {
	g := &giving{Engine: e, store: store, from: store, image: Image{Image: img}, copier: linkedcopy.New(linkedcopy.Options{}), open: lowers{}}
	if renewed, err = g.renew(ctx, stale); err != nil {
		return renewed, fmt.Errorf("renew layers of %s in %s: %w", img.Manifest, e.at.Address, err)
	}
	return renewed, nil
}

// renewal is a layer that was filled anew and is not in place yet.
type renewal struct {
	parent *os.File // the snapshot's directory
	name   string   // of the new one in it
	is     string   // of the one that it replaces
}

func (g *giving) renew(ctx context.Context, stale []digest.Digest) (renewed int, err error) {
	if err := g.Serves(g.store); err != nil {
		return 0, err
	}
	records, err := given.Open(ctx, g.store.Dir())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	lease, err := g.store.Lease(ctx, "renew in "+g.at.Address, g.image.Layers...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, g.open.close(), lease.Release()) }()
	chains := chainIDs(g.image.Layers)
	have, err := g.has(ctx, chains)
	if err != nil {
		return 0, err
	}
	if g.erofs() {
		return g.renewFiles(ctx, chains[:have], stale)
	}
	dirs, err := g.directories(ctx, chains[:have])
	defer func() { err = errors.Join(err, closeAll(dirs)) }()
	if err != nil || have == 0 {
		return 0, err
	}
	made, err := g.refill(ctx, dirs, stale)
	defer func() {
		for _, m := range made {
			err = errors.Join(err, m.parent.Close())
		}
	}()
	if err != nil || len(made) == 0 {
		return 0, err
	}
	if err := durable.SyncFS(ctx, made[0].parent); err != nil {
		return 0, err
	}
	for i, m := range made {
		if err := durable.Exchange(ctx, m.parent, m.name, m.parent, m.is); err != nil {
			return i, err
		}
		if err := durable.SyncDir(ctx, m.parent); err != nil {
			return i, err
		}
	}
	return len(made), snapshotdir.Tidy(ctx, dirs, replacedPrefix)
}

// refill makes the new directories, beside the old ones. dirs has the topmost
// first, and gets the new ones.
func (g *giving) refill(ctx context.Context, dirs []*os.File, stale []digest.Digest) (made []renewal, err error) {
	for i, diffID := range g.image.Layers[:len(dirs)] {
		if !slices.Contains(stale, diffID) {
			continue
		}
		at := len(dirs) - 1 - i
		old := dirs[at].Name()
		m := renewal{name: replacedPrefix + rand.Text(), is: path.Base(old)}
		if m.parent, err = durable.OpenDir(path.Dir(old)); err != nil {
			return made, err
		}
		made = append(made, m)
		if err := durable.Mkdir(ctx, m.parent, m.name, 0o755); err != nil {
			return made, err
		}
		dir, err := durable.OpenDirAt(m.parent, m.name)
		if err != nil {
			return made, err
		}
		if err := g.fill(ctx, dir, i, dirs[at+1:]); err != nil {
			return made, errors.Join(fmt.Errorf("layer %s: %w", diffID, err), dir.Close())
		}
		if err := dirs[at].Close(); err != nil {
			return made, errors.Join(err, dir.Close())
		}
		dirs[at] = dir
	}
	return made, nil
}
