// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/layer"
)

// behindFrom is how many bytes of files come before they are written to the disk
// while more come: the sync at the end, for which the pull waits, then finds
// little.
const behindFrom = 128 << 20

// behind writes what was unpacked to the disk beside what is still unpacked. It
// promises nothing.
type behind struct {
	every int64
	dir   *os.File // of its own, as it hears of errors once

	mu      sync.Mutex
	size    int64
	syncing <-chan error // nil where nothing is
	err     error        // of a sync: the store's may not hear of it again
}

// newBehind writes what comes to the filesystem of the store; nil does nothing. Who
// writes the tars of a store of them has the disk begin with them already.
func (p *Pull) newBehind() (*behind, error) {
	if !p.store.Syncs() || p.store.Format().Lower == layer.Tars {
		return nil, nil
	}
	own, err := durable.OpenDirAt(p.store.Dir(), ".")
	if err != nil {
		return nil, err
	}
	return &behind{every: behindFrom, dir: own}, nil
}

// counting counts what record is told of.
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

// more writes what has come since the last sync began, for its end will be waited
// for.
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
			return // is busy
		}
	}
	b.size, b.syncing = 0, durable.StartSyncFS(ctx, b.dir)
}

// end waits for the sync that is under way, unless the pull is told to end.
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
	return errors.Join(b.err, b.dir.Close())
}
