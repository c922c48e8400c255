// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// making makes the snapshots of an image, in three stages that work beside each
// other, because the engine waits for the disk some ten times a layer: some are
// prepared, while lower ones are filled, and still lower ones are synced and
// committed.
type making struct {
	*giving
	chains []digest.Digest
	have   int        // how many of the chains the engine has
	below  []*os.File // directories of the snapshots so far, the topmost first
	// next waits for the layer i, and reports whether there is one. It is called
	// before each layer, and once after the last.
	next     func(ctx context.Context, i int) (bool, error)
	prepared chan chan prepared // in the order of the layers
	filled   chan *active
}

// prepared is a snapshot to be filled, or why there is none.
type prepared struct {
	*active
	err error
}

// preparedBefore is how many snapshots are prepared ahead of the filling at most: if
// the pull fails they were prepared in vain.
const preparedBefore = 32

// preparedAtOnce is how many snapshots are prepared at a time: for each the engine
// waits for the disk six times, in two databases.
const preparedAtOnce = 4

// makeAbove keeps the snapshots of the lowest layers, which the engine has, and makes
// those of the other layers; see [making] for next. After an error of next or of a
// layer it commits what was filled before, unless ctx has ended.
func (g *giving) makeAbove(ctx context.Context, chains []digest.Digest, have int, next func(ctx context.Context, i int) (bool, error)) (err error) {
	if have > 0 {
		if err := g.keepSnapshot(ctx, chains[have-1]); err != nil {
			return err
		}
	}
	switch {
	case have == len(chains) && g.erofs():
		return g.renewMerged(ctx, chains, false)
	case have == len(chains):
		return nil
	}
	m := &making{
		giving: g, chains: chains, have: have, next: next,
		prepared: make(chan chan prepared, preparedBefore), filled: make(chan *active, len(chains)),
	}
	if g.erofs() {
		_, err = g.surveyBelow(ctx, chains[:have])
	} else {
		m.below, err = g.directories(ctx, chains[:have])
	}
	defer func() { err = errors.Join(err, closeAll(m.below)) }()
	switch {
	case err != nil:
		return err
	case g.rebase:
		return m.run(ctx)
	}
	return m.oneByOne(ctx)
}

// keepSnapshot adds a snapshot, and so all below it, to the lease.
func (g *giving) keepSnapshot(ctx context.Context, chain digest.Digest) error {
	if err := g.leases.Keep(ctx, g.lease, "snapshots/"+g.at.Snapshotter, chain.String()); err != nil {
		return err
	}
	// A lease takes also what does not exist. The collector may have removed the
	// snapshot since it was looked for: it works whenever a lease has ended, such as
	// that of a giving that died.
	there, err := g.committed(ctx, chain)
	if err == nil && !there {
		err = errCollected
	}
	return err
}

// oneByOne makes one snapshot after the other, for an engine that wants a snapshot's
// parent committed before the snapshot is prepared.
func (m *making) oneByOne(ctx context.Context) error {
	for i := m.have; i < len(m.chains); i++ {
		if come, err := m.next(ctx, i); err != nil || !come {
			return err
		}
		a, err := m.begin(ctx, i, m.chains)
		if err = m.fillNext(ctx, i, prepared{a, err}); err != nil {
			return err
		}
		if err := m.commit(ctx, []*active{a}); err != nil {
			return err
		}
	}
	return nil
}

func (m *making) run(ctx context.Context) error {
	group, working := errgroup.WithContext(ctx)
	enough := make(chan struct{})
	group.Go(func() error {
		defer close(m.prepared)
		m.prepareAll(working, enough)
		return nil
	})
	var unfilled error // kept from group, for what was filled before is committed all the same
	group.Go(func() error {
		defer close(enough)
		defer close(m.filled)
		unfilled = m.fillAll(working)
		return nil
	})
	group.Go(func() error { return m.commitAll(working) })
	err := group.Wait()
	err = cmp.Or(err, unfilled)
	for one := range m.prepared { // in vain
		if p := <-one; ctx.Err() != nil || m.remove(ctx, p.active) != nil {
			break // the collector removes them when the lease has ended
		}
	}
	return err
}

// prepareAll prepares snapshots ahead of the filling, up to the first error. It
// prepares the first alone, for that may find what an engine that was killed has
// left, which must be removed before any other is made; see [Engine.makeSnapshot].
func (m *making) prepareAll(ctx context.Context, enough <-chan struct{}) {
	var failed atomic.Bool
	var group errgroup.Group
	group.SetLimit(preparedAtOnce)
	defer func() { _ = group.Wait() }() // fillAll gets each error with its snapshot
	for i := m.have; i < len(m.chains); i++ {
		select {
		case <-enough:
			return
		default:
		}
		one := make(chan prepared, 1)
		select {
		case m.prepared <- one:
		case <-enough:
			return
		}
		begin := func() error {
			a, err := m.begin(ctx, i, m.chains)
			if err != nil {
				failed.Store(true)
			}
			one <- prepared{a, err}
			return nil
		}
		if i == m.have {
			_ = begin()
		} else {
			group.Go(begin)
		}
		if failed.Load() {
			return
		}
	}
}

func (m *making) fillAll(ctx context.Context) error {
	for i := m.have; ; i++ {
		if come, err := m.next(ctx, i); err != nil || !come || i == len(m.chains) {
			return err
		}
		select {
		case one := <-m.prepared:
			p := <-one
			if err := m.fillNext(ctx, i, p); err != nil {
				return err
			}
			m.filled <- p.active
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fillNext fills the snapshot of the layer i, on top of those that are filled.
func (m *making) fillNext(ctx context.Context, i int, p prepared) error {
	if p.err == nil {
		p.err = m.fillSnapshot(ctx, p.active, i, m.below)
	}
	if p.err != nil {
		return fmt.Errorf("layer %d/%d: %w", i+1, len(m.chains), p.err)
	}
	m.below = append([]*os.File{p.dir}, m.below...)
	return nil
}

// commitFrom is how many filled paths are worth a commit.
const commitFrom = 2048

// commitAll commits filled snapshots in groups: when as many wait as are still to
// come, or when they have many paths, each of which the engine looks at. Few commits
// are better, for each has a sync that holds up all who write to the disk, but little
// must be left to do when the last layer has come.
func (m *making) commitAll(ctx context.Context) error {
	var waiting []*active
	left, paths := len(m.chains)-m.have, int64(0)
	for a := range m.filled {
		waiting = append(waiting, a)
		left--
		paths += a.paths
		if len(m.filled) > 0 || len(waiting) < left && paths < commitFrom {
			continue
		}
		if err := m.commit(ctx, waiting); err != nil {
			return err
		}
		waiting, paths = nil, 0
	}
	return m.commit(ctx, waiting)
}
