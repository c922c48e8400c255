// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/lease"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/overlaystore"
)

// Ahead gives layers of an image to the engine while other layers of it are still
// being fetched. It only saves time: [Engine.Give] does what Ahead has not done, or
// failed to do, by its end.
type Ahead struct {
	g       *giving
	release func() error // removes the mark that its lease is in use
	stop    context.CancelFunc
	done    chan struct{} // closed when run has returned
	err     error         // of run

	mu       sync.Mutex
	ready    map[digest.Digest]*lower
	idle     chan struct{} // closed while no layer is waiting to be linked
	arrived  chan struct{} // has a value when ready has got a layer
	complete chan struct{} // closed when no more layers will come
	finished sync.Once     // closes complete
	// wait is how long Filled waits; it is 0 once that was too short. Linking takes a
	// second or two, unless the engine does not answer.
	wait  time.Duration
	ended bool
}

// Ahead begins to give the layers of an image that is being pulled into the store,
// the lowest first. The caller ends it with [Ahead.End]. It returns nil, on which
// all methods do nothing, where the engine or the store does not allow it.
func (e *Engine) Ahead(ctx context.Context, store *overlaystore.Store, layers []digest.Digest) *Ahead {
	if !e.rebase || e.erofs() || e.Serves(store) != nil {
		return nil
	}
	g := &giving{
		Engine: e, store: store, from: store, image: Image{Image: overlaystore.Image{Layers: layers}},
		copier: linkedcopy.New(linkedcopy.Options{}), open: lowers{}, lease: lease.NewID(),
	}
	a := &Ahead{g: g, done: make(chan struct{}), arrived: make(chan struct{}, 1), complete: make(chan struct{}), idle: make(chan struct{}), ready: map[digest.Digest]*lower{}, wait: filledWithin}
	var err error
	if g.owner, err = store.RealPath(); err == nil {
		g.since, err = durable.OpenDirAt(store.Dir(), ".")
	}
	if err == nil {
		g.syncs = durable.NewSyncs(g.since)
		a.release, err = given.Begin(ctx, store.Dir(), g.lease, e.where())
	}
	if err != nil {
		if g.since != nil {
			g.since.Close()
		}
		e.log.Info("give nothing ahead", "error", err)
		return nil
	}
	ctx, a.stop = context.WithCancel(ctx)
	go func() {
		defer close(a.done)
		a.err = a.run(ctx)
	}()
	return a
}

// Ready says that all files of a layer are in its lower directory fs, and its record
// beside that. Several goroutines may call it.
func (a *Ahead) Ready(diffID digest.Digest, fs *os.File) {
	if a == nil {
		return
	}
	l := &lower{}
	var err error
	if l.fs, err = durable.OpenDirAt(fs, "."); err != nil {
		return
	}
	if l.dir, err = durable.OpenDirAt(fs, ".."); err != nil {
		l.fs.Close()
		return
	}
	if l.record, err = overlaystore.ReadRecord(l.dir); err != nil {
		l.close()
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended || a.ready[diffID] != nil {
		l.close()
		return
	}
	a.ready[diffID] = l
	select {
	case <-a.idle:
		a.idle = make(chan struct{})
	default:
	}
	select {
	case a.arrived <- struct{}{}:
	default:
	}
}

// filledWithin is how long a pull waits for its layers to be linked.
const filledWithin = 10 * time.Second

// Sync makes durable what was written before the call. The pull's background syncs
// share it with those before the commits of snapshots. It does nothing for a nil Ahead.
func (a *Ahead) Sync(ctx context.Context) error {
	if a == nil {
		return nil
	}
	return a.g.syncs.Sync(ctx)
}

// Filled waits, but not for long, until the layers that are ready by now are linked,
// if the layers below them are there: a sync afterwards then includes the links.
func (a *Ahead) Filled(ctx context.Context) {
	if a == nil {
		return
	}
	a.mu.Lock()
	idle, late := a.idle, time.After(a.wait)
	a.mu.Unlock()
	select {
	case <-idle:
	case <-a.done:
	case <-late:
		a.mu.Lock()
		defer a.mu.Unlock()
		a.wait = 0
	case <-ctx.Done():
	}
}

// markIdle closes idle, unless the layer i, which is next, is ready by now.
func (a *Ahead) markIdle(i int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i < len(a.g.image.Layers) && a.ready[a.g.image.Layers[i]] != nil {
		return
	}
	select {
	case <-a.idle:
	default:
		close(a.idle)
	}
}

// finish waits until everything that is ready has been given, and returns how many
// snapshots were made and what was linked.
func (a *Ahead) finish() (made int, done linkedcopy.Done) {
	if a == nil {
		return 0, done
	}
	a.finished.Do(func() { close(a.complete) })
	<-a.done
	if a.err != nil {
		a.g.log.Info("give layers ahead", "error", a.err)
		return 0, done
	}
	return a.g.made, a.g.copier.Done()
}

// End stops the giving. The engine's collector removes the snapshots that no image
// has got by then.
func (a *Ahead) End(ctx context.Context) error {
	if a == nil || a.ended {
		return nil
	}
	a.stop()
	<-a.done
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	var errs []error
	for _, l := range a.ready { // take has removed those that g.open closes
		errs = append(errs, l.close())
	}
	a.g.dropLease(ctx)
	return errors.Join(append(errs, a.g.open.close(), a.g.syncs.Close(), a.release())...)
}

func (a *Ahead) run(ctx context.Context) (err error) {
	g := a.g
	layers, err := g.store.Lease(ctx, "give to "+g.at.Address, g.image.Layers...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, layers.Release()) }()
	chains := chainIDs(g.image.Layers)
	have, err := g.has(ctx, chains)
	if err != nil || have == len(chains) {
		return err
	}
	if err := g.takeLease(ctx); err != nil {
		return err
	}
	return g.makeAbove(ctx, chains, have, a.await)
}

// take reports whether the layer i is ready or in the store, and opens it for g if it
// is ready.
func (a *Ahead) take(i int) bool {
	g, diffID := a.g, a.g.image.Layers[i]
	if g.open[diffID] != nil {
		return true
	}
	a.mu.Lock()
	l := a.ready[diffID]
	delete(a.ready, diffID)
	a.mu.Unlock()
	if l != nil {
		g.open[diffID] = l
		return true
	}
	has, err := g.store.HasLayer(diffID)
	return has && err == nil
}

// await waits for the layer i; it is false where that will not come.
func (a *Ahead) await(ctx context.Context, i int) (bool, error) {
	for i == len(a.g.image.Layers) || !a.take(i) {
		a.markIdle(i)
		if i == len(a.g.image.Layers) {
			return false, nil
		}
		select {
		case <-a.arrived:
		case <-a.complete:
			return a.take(i), nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

// dropLease ends the lease, and only logs an error: the next giving ends what is left,
// or it expires.
func (g *giving) dropLease(ctx context.Context) {
	if err := g.leases.End(ctx, g.lease); err != nil {
		g.log.Info("end a lease", "lease", g.lease, "error", err)
	}
}
