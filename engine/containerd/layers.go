// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/engine/containerd/internal/snapshotdir"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// active is a snapshot that is being filled.
type active struct {
	key           string
	chain, parent digest.Digest
	labels        map[string]string
	mounts        []*types.Mount
	dir           *os.File // nil until it is filled
	paths         int64    // how many it was filled with
}

// layers makes the snapshots that the engine lacks. It begins again where another
// client makes one of them meanwhile, or the collector removes a lower one.
func (g *giving) layers(ctx context.Context) error {
	g.made, g.ahead = g.options.Ahead.finish()
	for range 3 {
		if err := g.makeMissing(ctx); !errors.Is(err, errMeanwhile) && !errors.Is(err, errCollected) {
			return err
		}
	}
	return g.makeMissing(ctx)
}

func (g *giving) makeMissing(ctx context.Context) error {
	chains := chainIDs(g.image.Layers)
	have, err := g.has(ctx, chains)
	if err != nil {
		return err
	}
	return g.makeAbove(ctx, chains, have, func(context.Context, int) (bool, error) { return true, nil })
}

var (
	errMeanwhile = errors.New("another client brought it meanwhile; give the image again")
	errCollected = errors.New("the engine removed a layer that it had; give the image again")
)

func closeAll(list []*os.File) error {
	var errs []error
	for _, f := range list {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// has returns how many of the lowest layers the engine has. A snapshot's parents
// exist as long as the snapshot does.
func (g *giving) has(ctx context.Context, chains []digest.Digest) (int, error) {
	var failed error
	have, _ := slices.BinarySearchFunc(chains, true, func(chain digest.Digest, _ bool) int {
		there, err := g.committed(ctx, chain)
		failed = cmp.Or(failed, err)
		if there {
			return -1
		}
		return 1
	})
	return have, failed
}

// committed reports whether the engine has a committed snapshot.
func (g *giving) committed(ctx context.Context, chain digest.Digest) (bool, error) {
	answer, err := g.snapshots.Stat(g.in(ctx, g.lease), &snapshots.StatSnapshotRequest{Snapshotter: g.at.Snapshotter, Key: chain.String()})
	if failure.IsNotFound(err) {
		return false, nil
	}
	return err == nil && answer.Info.GetKind() == snapshots.Kind_COMMITTED, failure.Explain(err)
}

// directories opens the directories of layers that the engine has, the topmost first.
func (g *giving) directories(ctx context.Context, chains []digest.Digest) (dirs []*os.File, err error) {
	if len(chains) == 0 {
		return nil, nil
	}
	list, err := g.view(ctx, chains[len(chains)-1])
	if err != nil {
		return nil, err
	}
	m, err := snapshotdir.ParseOverlay(list)
	if err != nil {
		return nil, err
	}
	for _, p := range m.Lower {
		dir, err := g.openDir(p)
		if err != nil {
			return dirs, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// view returns how the engine would mount a snapshot read-only.
func (g *giving) view(ctx context.Context, chain digest.Digest) (list []*types.Mount, err error) {
	key := "layerctl-view-" + rand.Text()
	request := &snapshots.ViewSnapshotRequest{Snapshotter: g.at.Snapshotter, Key: key, Parent: chain.String()}
	var answer *snapshots.ViewSnapshotResponse
	err = g.makeSnapshot(func() error {
		answer, err = g.snapshots.View(g.in(ctx, g.lease), request)
		return err
	})
	if err != nil {
		return nil, failure.Explain(err)
	}
	defer func() {
		if gone := g.forget(ctx, g.lease, key); err == nil {
			err = gone
		}
	}()
	return answer.Mounts, nil
}

// begin makes the active snapshot of the layer i.
func (g *giving) begin(ctx context.Context, i int, chains []digest.Digest) (*active, error) {
	a := &active{key: fmt.Sprintf("layerctl-%s %s", rand.Text(), chains[i]), chain: chains[i]}
	a.labels = map[string]string{
		"containerd.io/snapshot.ref":     a.chain.String(),
		"containerd.io/snapshot/diff-id": g.image.Layers[i].String(),
		ownerLabel:                       g.owner,
	}
	if i > 0 {
		a.parent = chains[i-1]
		a.labels["containerd.io/snapshot/parent-chain-id"] = a.parent.String()
	}
	request := &snapshots.PrepareSnapshotRequest{Snapshotter: g.at.Snapshotter, Key: a.key, Labels: a.labels}
	if !g.rebase {
		request.Parent = a.parent.String()
	}
	answer, err := g.prepare(ctx, g.lease, request)
	if failure.IsExists(err) {
		return nil, errMeanwhile
	}
	if err != nil {
		return nil, failure.Explain(err)
	}
	a.mounts = answer.Mounts
	return a, nil
}

// fillSnapshot fills the snapshot of the layer i, and removes it after an error.
func (g *giving) fillSnapshot(ctx context.Context, a *active, i int, below []*os.File) error {
	err := g.fillActive(ctx, a, i, below)
	if err != nil {
		return errors.Join(err, g.abandon(ctx, a))
	}
	return nil
}

func (g *giving) fillActive(ctx context.Context, a *active, i int, below []*os.File) error {
	if g.erofs() {
		return g.place(ctx, a, i)
	}
	m, err := snapshotdir.ParseOverlay(a.mounts)
	if err != nil {
		return err
	}
	if m.Upper == "" {
		return fmt.Errorf("%w: its snapshotter names no directory to fill", ErrUnsupported)
	}
	if a.dir, err = g.openDir(m.Upper); err != nil {
		return err
	}
	names, err := fsat.Names(a.dir)
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%w: the directory of a new snapshot is not empty: %s", ErrUnsupported, m.Upper)
	}
	if err != nil {
		return err
	}
	before := g.copier.Done()
	err = g.fill(ctx, a.dir, i, below)
	a.paths = g.copier.Done().Paths() - before.Paths()
	return err
}

// abandon closes and removes a snapshot that is not committed. What it cannot remove
// the engine's collector removes when the lease has ended.
func (g *giving) abandon(ctx context.Context, a *active) error {
	var err error
	if a.dir != nil {
		err = a.dir.Close()
	}
	g.remove(ctx, a)
	return err
}

// remove removes a snapshot that is not committed, if there is one.
func (g *giving) remove(ctx context.Context, a *active) error {
	if a == nil {
		return nil
	}
	err := g.forget(ctx, g.lease, a.key)
	if err != nil {
		g.log.Info("remove an unfinished snapshot", "key", a.key, "error", err)
	}
	return err
}

// commit makes what was filled durable, by one sync, and only then tells the
// engine, the lowest layer first.
func (g *giving) commit(ctx context.Context, filled []*active) error {
	if len(filled) == 0 {
		return nil
	}
	if err := g.sync(ctx, filled[0].dir); err != nil {
		return err
	}
	for _, a := range filled {
		request := &snapshots.CommitSnapshotRequest{Snapshotter: g.at.Snapshotter, Name: a.chain.String(), Key: a.key, Labels: a.labels}
		if g.rebase {
			request.Parent = a.parent.String()
		}
		_, err := g.snapshots.Commit(g.in(ctx, g.lease), request)
		if failure.IsExists(err) {
			return errMeanwhile
		}
		if err != nil {
			return failure.Explain(err)
		}
		g.made++
	}
	return nil
}

// sync makes durable what was filled, with dir. A descriptor that was opened before
// anything was written reports all errors of writing it.
func (g *giving) sync(ctx context.Context, dir *os.File) error {
	if g.since == nil {
		return durable.SyncFS(ctx, dir)
	}
	if err := g.syncs.Sync(ctx); err != nil {
		return err
	}
	store, err := fsat.Stat(g.since)
	if err != nil {
		return err
	}
	engine, err := fsat.Stat(dir)
	if err != nil || store.Dev == engine.Dev {
		return err
	}
	return durable.SyncFS(ctx, dir)
}

// openDir opens a directory by the path that the engine has for it.
func (g *giving) openDir(path string) (*os.File, error) { return snapshotdir.Open(path, g.pid.Load()) }
