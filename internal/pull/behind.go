// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"sync"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/layer"
)

// behindFrom is how many bytes of files are unpacked before a sync of them is
// started in the background. The sync at the end, for which the pull waits, then has
// little to do.
const behindFrom = 128 << 20

// behind syncs unpacked files in the background, while others are unpacked. It makes
// nothing durable by itself.
type behind struct {
	every int64                       // bytes between two syncs
	sync  func(context.Context) error // the taker's, or of own
	own   *durable.Syncs              // by a descriptor of its own: the kernel reports an error once to each; nil beside the taker's

	mu      sync.Mutex
	size    int64        // bytes since the last sync was started
	syncing <-chan error // nil where no sync was started
	err     error        // of a sync; the store's sync may not report it again
}

// newBehind returns a behind for the store's filesystem; nil does nothing. It returns
// nil for a store of tars, whose writer starts writing to the disk itself.
func (p *Pull) newBehind() (*behind, error) {
	if !p.store.Syncs() || p.store.Format().Lower == layer.Tars {
		return nil, nil
	}
	if p.taker.Sync != nil {
		return &behind{every: behindFrom, sync: p.taker.Sync}, nil
	}
	dir, err := durable.OpenDirAt(p.store.Dir(), ".")
	if err != nil {
		return nil, err
	}
	own := durable.NewSyncs(dir)
	return &behind{every: behindFrom, sync: own.Sync, own: own}, nil
}

// counting returns a record that also counts the bytes of files.
func (b *behind) counting(ctx context.Context, record func(layer.Entry) error) func(layer.Entry) error {
	return func(e layer.Entry) error {
		if e.Type == layer.Regular {
			b.add(ctx, e.Size)
		}
		return record(e)
	}
}

// add counts n bytes that were unpacked.
func (b *behind) add(ctx context.Context, n int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size += n; b.size >= b.every {
		b.start(ctx)
	}
}

// more starts a sync of what was unpacked since the last one, if any.
func (b *behind) more(ctx context.Context) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size > 0 {
		b.start(ctx)
	}
}

// start starts a sync, unless one is under way.
func (b *behind) start(ctx context.Context) {
	if b.syncing != nil {
		select {
		case err := <-b.syncing:
			b.err = errors.Join(b.err, err)
		default:
			return // one is under way
		}
	}
	b.size = 0
	ended := make(chan error, 1)
	b.syncing = ended
	ctx = context.WithoutCancel(ctx) // it ends with the unpacking
	go func() { ended <- b.sync(ctx) }()
}

// end waits for the sync that is under way, or until ctx ends.
func (b *behind) end(ctx context.Context) error {
	if b == nil {
		return nil
	}
	if b.syncing != nil {
		select {
		case err := <-b.syncing:
			b.err = errors.Join(b.err, err)
		case <-ctx.Done():
		}
	}
	if b.own != nil {
		b.err = errors.Join(b.err, b.own.Close())
	}
	return b.err
}
