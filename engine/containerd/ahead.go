// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"sync"
	"time"

	leases "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/overlaystore"
)

// Ahead is an image whose layers the engine gets while others of it are still
// being fetched. It only saves time: what it has not done when it ends, or what
// it has failed to do, [Engine.Give] does.
type Ahead struct {
	g       *giving
	release func() error // of what says that it lives
	stop    context.CancelFunc
	done    chan struct{}
	err     error // once done

	mu    sync.Mutex
	ready map[digest.Digest]*lower
	still chan struct{} // closed while nothing is there to be filled
	more  chan struct{}
	last  chan struct{} // closed when no more will come
	ended sync.Once
	// within is how long Filled waits, once: that takes a second or two, but where
	// the engine does not answer.
	within time.Duration
	over   bool
}

// Ahead begins to give the layers of an image that is being pulled into the
// store, the lowest first. It is nil, and does nothing, where the engine or the
// store could not be served so. Whoever begins it ends it.
func (e *Engine) Ahead(ctx context.Context, store *overlaystore.Store, layers []digest.Digest) *Ahead {
	if !e.rebase || e.erofs() || e.Serves(store) != nil {
		return nil
	}
	g := &giving{
		Engine: e, store: store, from: store, image: Image{Image: overlaystore.Image{Layers: layers}},
		copier: linkedcopy.New(linkedcopy.Options{}), open: lowers{}, lease: newLease(),
	}
	a := &Ahead{g: g, done: make(chan struct{}), more: make(chan struct{}, 1), last: make(chan struct{}), still: make(chan struct{}), ready: map[digest.Digest]*lower{}, within: filledWithin}
	var err error
	if g.owner, err = store.RealPath(); err == nil {
		g.since, err = durable.OpenDirAt(store.Dir(), ".")
	}
	if err == nil {
		a.release, err = given.Begin(ctx, store.Dir(), g.lease)
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

// Ready hears of a layer whose files are all there; fs is its lower dir, beside
// its record. It may be called by several goroutines.
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
	if a.over || a.ready[diffID] != nil {
		l.close()
		return
	}
	a.ready[diffID] = l
	select {
	case <-a.still:
		a.still = make(chan struct{})
	default:
	}
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// filledWithin is how long a pull waits for its layers to be linked.
const filledWithin = 10 * time.Second

// Filled waits until the layers that were ready before are linked, as far as those
// below them have come, but not for long: a sync after it is one for them too.
func (a *Ahead) Filled(ctx context.Context) {
	if a == nil {
		return
	}
	a.mu.Lock()
	still, late := a.still, time.After(a.within)
	a.mu.Unlock()
	select {
	case <-still:
	case <-a.done:
	case <-late:
		a.mu.Lock()
		defer a.mu.Unlock()
		a.within = 0
	case <-ctx.Done():
	}
}

// rest says that the layer i has not come, or that all are filled.
func (a *Ahead) rest(i int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i < len(a.g.image.Layers) && a.ready[a.g.image.Layers[i]] != nil {
		return
	}
	select {
	case <-a.still:
	default:
		close(a.still)
	}
}

// finish waits until all has been given that was ready, and says what was made.
func (a *Ahead) finish() (made int, done linkedcopy.Done) {
	if a == nil {
		return 0, done
	}
	a.ended.Do(func() { close(a.last) })
	<-a.done
	if a.err != nil {
		a.g.log.Info("give layers ahead", "error", a.err)
		return 0, done
	}
	return a.g.made, a.g.copier.Done()
}

// End gives up what was not given yet, and leaves to the engine what was not
// named.
func (a *Ahead) End(ctx context.Context) error {
	if a == nil || a.over {
		return nil
	}
	a.stop()
	<-a.done
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	var errs []error
	for _, l := range a.ready { // those that were taken are closed
		errs = append(errs, l.close())
	}
	a.g.dropLease(ctx)
	return errors.Join(append(errs, a.g.open.close(), a.g.since.Close(), a.release())...)
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
	return g.above(ctx, chains, have, a.await)
}

// take opens the layer i, if it is ready or in the store.
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

// await waits until the layer i is there, and says whether it came.
func (a *Ahead) await(ctx context.Context, i int) (bool, error) {
	for i == len(a.g.image.Layers) || !a.take(i) {
		a.rest(i)
		if i == len(a.g.image.Layers) {
			return false, nil
		}
		select {
		case <-a.more:
		case <-a.last:
			return a.take(i), nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

func newLease() string { return "layerctl-" + rand.Text() }

// takeLease takes a lease, which keeps the engine's collector away until the names
// do.
func (g *giving) takeLease(ctx context.Context) error {
	_, err := g.leases.Create(g.in(ctx, ""), &leases.CreateRequest{ID: g.lease, Labels: map[string]string{
		ownerLabel:                g.owner,
		"containerd.io/gc.expire": time.Now().Add(leaseTime).UTC().Format(time.RFC3339),
	}})
	return failure.Explain(err)
}

// endLease ends the lease, also when ctx has ended.
func (g *giving) endLease(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := g.leases.Delete(g.in(ctx, ""), &leases.DeleteRequest{ID: g.lease})
	return err
}

// dropLease is endLease where nothing hangs on it: what remains goes with the next
// giving, or by its expiry.
func (g *giving) dropLease(ctx context.Context) {
	if err := g.endLease(ctx); err != nil && !failure.IsNotFound(err) {
		g.log.Info("end a lease", "lease", g.lease, "error", err)
	}
}
