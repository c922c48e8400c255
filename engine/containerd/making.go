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

// making is how the snapshots of an image come to be. The engine prepares some,
// while lower ones are filled, and still lower ones become durable and are
// committed: it waits for the disk some ten times a layer.
type making struct {
	*giving
	chains []digest.Digest
	have   int        // of the chains, which the engine has
	below  []*os.File // directories of the snapshots, the topmost first
	// next is asked before each layer whether there is one, and after the last.
	next     func(ctx context.Context, i int) (bool, error)
	prepared chan chan prepared // in the order of the layers
	filled   chan *active
}

// prepared is a snapshot to be filled, or why there is none.
type prepared struct {
	*active
	err error
}

// preparedBefore is how many snapshots are made at most before they are filled:
// of an image whose pull fails they were made for nothing.
const preparedBefore = 32

// preparedAtOnce is how many are made at a time: the engine waits for the disk six
// times for each, in two databases.
const preparedAtOnce = 4

// above keeps the snapshots of the lowest layers, those that the engine has, and
// makes those of the others. next is asked before each of these whether there is
// one. What was filled when next or a layer has an error is committed, unless ctx
// has ended.
func (g *giving) above(ctx context.Context, chains []digest.Digest, have int, next func(ctx context.Context, i int) (bool, error)) (err error) {
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

// keepSnapshot has the lease keep a snapshot and all below it.
func (g *giving) keepSnapshot(ctx context.Context, chain digest.Digest) error {
	if err := g.keep(ctx, "snapshots/"+g.at.Snapshotter, chain.String()); err != nil {
		return err
	}
	// A lease keeps also what is not there. The collector may have been at work
	// since somebody looked: it is when a lease has ended, such as that of a giving
	// that died.
	there, err := g.committed(ctx, chain)
	if err == nil && !there {
		err = errCollected
	}
	return err
}

// oneByOne makes snapshots each of which begins on one that is committed.
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
	var unfilled error // no reason not to commit what was filled before
	group.Go(func() error {
		defer close(enough)
		defer close(m.filled)
		unfilled = m.fillAll(working)
		return nil
	})
	group.Go(func() error { return m.commitAll(working) })
	err := group.Wait()
	err = cmp.Or(err, unfilled)
	for one := range m.prepared { // for nothing
		if p := <-one; ctx.Err() != nil || m.remove(ctx, p.active) != nil {
			break // the lease's end does it
		}
	}
	return err
}

// prepareAll goes ahead of what is filled, up to an error. The first is made alone:
// it may find what an engine that was killed has left, see [Engine.again], and that
// goes before anything else is made.
func (m *making) prepareAll(ctx context.Context, enough <-chan struct{}) {
	var failed atomic.Bool
	var group errgroup.Group
	group.SetLimit(preparedAtOnce)
	defer func() { _ = group.Wait() }() // each error goes to who takes the snapshot
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

// fillNext fills the snapshot of the layer i, on top of those that were filled.
func (m *making) fillNext(ctx context.Context, i int, p prepared) error {
	if p.err == nil {
		p.err = m.giving.filled(ctx, p.active, i, m.below)
	}
	if p.err != nil {
		return fmt.Errorf("layer %d/%d: %w", i+1, len(m.chains), p.err)
	}
	m.below = append([]*os.File{p.dir}, m.below...)
	return nil
}

// commitFrom is how many paths are filled before they are committed.
const commitFrom = 2048

// commitAll commits what is filled, as soon as it is as much as there is still to
// come, in layers, or many paths, each of which the engine looks at: each sync
// holds up all who write to the disk, and when the last layer has come little is
// to be left.
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
