// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// How long another process may take over a layer before this one fetches it, too: a
// time to begin, and the time that the blob takes at a slow rate. Waiting must end,
// for the other process may pull an image that only claims to have the layer, from a
// registry that never sends the end of a blob.
const (
	patience      = 20 * time.Second
	networkRate   = 256 << 10 // bytes a second
	localPatience = 5 * time.Second
	localRate     = 16 << 20
)

// patience returns how long to wait for l, from the moment at which the waiting for
// the first of the busy layers began.
func (p *Pull) patience(busy []fetch.Layer, l fetch.Layer) time.Duration {
	if p.options.Patience != 0 {
		return p.options.Patience
	}
	return patienceFor(p.source.Reference().Transport(), busy, l)
}

func patienceFor(t registry.Transport, busy []fetch.Layer, l fetch.Layer) time.Duration {
	base, rate := patience, int64(networkRate)
	if t != registry.Docker {
		base, rate = localPatience, localRate
	}
	seconds := int64(0)
	for _, b := range busy {
		seconds += b.Descriptor.Size / rate
		if b.Number == l.Number {
			break
		}
	}
	const longest = 24 * 60 * 60
	return base + time.Duration(min(seconds, longest))*time.Second
}

// stage stages a layer once more, beside another process that may have begun it.
func (p *Pull) stage(ctx context.Context, diffID digest.Digest) (*overlaystore.Staging, error) {
	st, err := p.store.TryStage(ctx, diffID)
	if errors.Is(err, overlaystore.ErrBusy) {
		return p.store.StageBeside(ctx, diffID)
	}
	return st, err
}

// staging is the result of waiting for a layer's lock.
type staging struct {
	*overlaystore.Staging
	err error
}

// discard discards the staging, if there is one.
func (s staging) discard() error {
	if s.err != nil {
		return nil
	}
	return s.Discard()
}

// wait waits until another process has committed a layer, for most at the longest, and
// then fetches the layer beside it. Either way the store has the layer afterwards;
// brought is 1 where this process fetched it.
func (p *Pull) wait(ctx context.Context, l fetch.Layer, most time.Duration) (brought int, err error) {
	p.fetch.Tell(l.Event(progress.LayerWaiting))
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	free := make(chan staging, 1)
	go func() {
		st, err := p.store.Stage(waiting, l.DiffID)
		free <- staging{st, err}
	}()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case got := <-free:
		return p.take(ctx, l, got)
	case <-timer.C:
	}
	p.options.Logger.Warn("another process takes long over the layer, fetch it beside", "layer", l.DiffID)
	return p.beside(ctx, l, stop, free)
}

// take fetches a layer whose lock is free, unless the other process has committed it.
func (p *Pull) take(ctx context.Context, l fetch.Layer, got staging) (brought int, err error) {
	if errors.Is(got.err, overlaystore.ErrExists) {
		p.fetch.Tell(l.Event(progress.LayerPresent))
		return 0, nil
	}
	if got.err != nil {
		return 0, got.err
	}
	own := []*overlaystore.Staging{got.Staging}
	brought, err = p.fill(ctx, own, []fetch.Layer{l}, p.stage)
	return brought, errors.Join(err, leave(ctx, own))
}

// beside fetches a layer while another process holds its lock, until that process
// commits it.
func (p *Pull) beside(ctx context.Context, l fetch.Layer, stop func(), free <-chan staging) (brought int, err error) {
	st, err := p.store.StageBeside(ctx, l.DiffID)
	if err != nil {
		stop()
		return p.besideDone(l, 0, err, <-free)
	}
	filling, cancel := context.WithCancel(ctx)
	defer cancel()
	waited := make(chan staging, 1)
	go func() {
		got := <-free
		if errors.Is(got.err, overlaystore.ErrExists) {
			cancel() // the other one was first
		}
		waited <- got
	}()
	own := []*overlaystore.Staging{st}
	brought, err = p.fill(filling, own, []fetch.Layer{l}, p.store.StageBeside)
	err = errors.Join(err, leave(ctx, own))
	stop()
	return p.besideDone(l, brought, err, <-waited)
}

// besideDone ends beside: err is no error where the other process has committed the
// layer.
func (p *Pull) besideDone(l fetch.Layer, brought int, err error, other staging) (int, error) {
	discarded := other.discard()
	if err != nil && (errors.Is(other.err, overlaystore.ErrExists) || errors.Is(err, overlaystore.ErrExists)) {
		p.fetch.Tell(l.Event(progress.LayerPresent))
		return 0, discarded
	}
	return brought, errors.Join(err, discarded)
}
