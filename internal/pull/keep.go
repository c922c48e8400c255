// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/layerctl/layerctl/overlaystore"
)

// settleAfter is how long a finished layer, or the checkpoint of one on its way,
// waits before it is written to the disk by itself: a pull that takes seconds has
// one sync, at its end.
const settleAfter = 15 * time.Second

// settleShare bounds what the syncs of finished layers take of a pull's time:
// one waits so many times as long as the one before it took.
const settleShare = 50

// keeper lets finished layers outlive the pull, and where the others of their
// image take long has them written to the disk: then they outlive a power cut.
type keeper struct {
	p    *Pull
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	waiting []*overlaystore.Staging // that are kept and not yet written
	more    chan struct{}           // there are
	err     error
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

// keep takes a layer that is finished. Its error is that of an earlier one where
// writing that has failed.
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

// end waits for the sync that is under way, unless the pull is told to end.
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

// settle writes what waits, and tells whether that went well.
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
