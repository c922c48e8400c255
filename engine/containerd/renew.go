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

// Renew fills the layers of an image in the engine whose diffIDs are stale anew,
// from the store, which must have the whole image. Each layer is replaced
// atomically. Containers that start afterwards see the new files; running ones keep
// the old files. The next Verify removes these once no mount uses the layer, or the
// engine does when it removes the layer. Renew returns how many layers it replaced.
func (e *Engine) Renew(ctx context.Context, store *overlaystore.Store, img overlaystore.Image, stale []digest.Digest) (renewed int, err error) {
	g := &giving{Engine: e, store: store, from: store, image: Image{Image: img}, copier: linkedcopy.New(linkedcopy.Options{}), open: lowers{}}
	if renewed, err = g.renew(ctx, stale); err != nil {
		return renewed, fmt.Errorf("renew layers of %s in %s: %w", img.Manifest, e.at.Address, err)
	}
	return renewed, nil
}

// renewal is a new directory of a layer that has not replaced the old one yet.
type renewal struct {
	parent *os.File // the snapshot's directory
	name   string   // of the new directory in parent
	old    string   // of the old directory in parent
}

func (g *giving) renew(ctx context.Context, stale []digest.Digest) (renewed int, err error) {
	if err := g.Serves(g.store); err != nil {
		return 0, err
	}
	records, owner, err := g.openGiven(ctx, g.store, given.Open)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	g.owner = owner
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
	if renewed, err = exchange(ctx, made); err != nil {
		return renewed, err
	}
	return renewed, snapshotdir.Tidy(ctx, dirs, replacedPrefix)
}

// exchange puts the new directories, durable, in the place of the old ones, and
// returns how many it has put there.
func exchange(ctx context.Context, made []renewal) (int, error) {
	if err := durable.SyncFS(ctx, made[0].parent); err != nil {
		return 0, err
	}
	for i, m := range made {
		if err := durable.Exchange(ctx, m.parent, m.name, m.parent, m.old); err != nil {
			return i, err
		}
		if err := durable.SyncDir(ctx, m.parent); err != nil {
			return i, err
		}
	}
	return len(made), nil
}

// refill makes and fills the new directories beside the old ones. dirs are the old
// ones, the topmost first, which it replaces by the new ones.
func (g *giving) refill(ctx context.Context, dirs []*os.File, stale []digest.Digest) (made []renewal, err error) {
	for i, diffID := range g.image.Layers[:len(dirs)] {
		if !slices.Contains(stale, diffID) {
			continue
		}
		at := len(dirs) - 1 - i
		old := dirs[at].Name()
		m := renewal{name: replacedPrefix + rand.Text(), old: path.Base(old)}
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
