// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/layerctl/layerctl/overlaystore"
)

// settleAfter is how long a finished layer or a checkpoint waits for the sync at the
// end of the pull, before it gets one of its own: a pull that takes seconds has one
// sync.
const settleAfter = 15 * time.Second

// settleShare bounds the share of a pull's time that syncs of finished layers take:
// the next sync waits so many times as long as the last one took.
const settleShare = 50

// keeper lets finished layers outlive the pull. Where other layers of the image take
// long it also syncs the finished ones, so that they survive a power cut.
type keeper struct {
	p    *Pull
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	waiting []*overlaystore.Staging // kept, but not synced yet
	more    chan struct{}           // has a value when waiting has got a layer
	err     error                   // of the last sync
}

func (p *Pull) keeper(ctx context.Context) *keeper {
	k := &keeper{p: p, more: make(chan struct{}, 1)}
	going, stop := context.WithCancel(ctx)
	k.stop = stop
	if p.store.Syncs() {
		k.done.Go(func() { k.run(ctx, going) })
	}
	return k
}

// keep keeps a finished layer. It also returns the error of an earlier sync.
func (k *keeper) keep(ctx context.Context, st *overlaystore.Staging) error {
	if err := st.Keep(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = append(k.waiting, st)
	select {
	case k.more <- struct{}{}:
	default:
	}
	return k.err
}

// end waits for the sync that is under way, or until the pull's context ends.
func (k *keeper) end() error {
	k.stop()
	k.done.Wait()
	return k.err
}

func (k *keeper) run(ctx, going context.Context) {
	wait := cmp.Or(k.p.options.Settle, settleAfter)
	for {
		select {
		case <-k.more:
		case <-going.Done():
			return
		}
		select {
		case <-time.After(wait):
		case <-going.Done():
			return
		}
		begin := time.Now()
		if !k.settle(ctx) {
			return
		}
		wait = max(wait, settleShare*time.Since(begin))
	}
}

// settle syncs the waiting layers, and reports whether that succeeded.
func (k *keeper) settle(ctx context.Context) bool {
	k.mu.Lock()
	waiting := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	err := k.p.store.Settle(ctx, waiting...)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
	return err == nil
}
