// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/internal/syncreport"
	"github.com/layerctl/layerctl/manifest"
)

// lookers are how many references are asked for at once.
const lookers = 4

// look learns of each image what it is now and what of it the node has: one HEAD
// where nothing has changed.
func (r *run) look(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(lookers)
	for _, w := range r.rows {
		if w.err == nil {
			g.Go(func() error {
				w.err = r.lookAt(ctx, w)
				return nil
			})
		}
	}
	_ = g.Wait() // each row has its own error
}

func (r *run) lookAt(ctx context.Context, w *row) error {
	if stored, err := r.Store.LookupToRead(w.held.Reference, w.wanted); err == nil {
		w.stored = stored
	}
	d, err := w.client.Documents(ctx, w.asked.Reference)
	if err != nil {
		return err
	}
	w.out.Root, w.out.Wanted = d.Root.Digest, d.Manifest.Digest
	missing, err := r.sizes(w, d)
	w.ready = err == nil && missing == 0 && w.stored.Manifest == d.Manifest.Digest &&
		w.client.JudgeStored(ctx, r.Store, w.asked.Reference, w.stored) == nil // by a policy that may be another now
	if w.ready {
		w.has(w.stored, d.Root.Digest)
	}
	return nil // what is wrong with it the pull tells better
}

// sizes notes how large an image is, and counts the layers that the store lacks.
func (r *run) sizes(w *row, d layerctl.Documents) (missing int, err error) {
	m, err := manifest.ParseImage(d.ManifestBytes, d.Manifest.MediaType)
	if err != nil {
		return 0, err
	}
	c, err := manifest.ParseConfig(d.ConfigBytes)
	if err != nil {
		return 0, err
	}
	layers, err := manifest.PairLayers(m, c)
	if err != nil {
		return 0, err
	}
	w.out.Size = d.Manifest.Size + d.Config.Size
	for _, l := range layers {
		w.out.Size += l.Descriptor.Size
		has, err := r.Store.HasLayer(l.DiffID)
		if err != nil {
			return 0, err
		}
		if !has {
			missing++
			w.out.Missing += l.Descriptor.Size
		}
	}
	return missing, nil
}

// bring first gives the engines what is there, then brings what is missing:
// what is pinned first, and the small before the large.
func (r *run) bring(ctx context.Context) {
	var missing []*row
	for _, w := range r.rows {
		if !w.ready && w.err == nil {
			missing = append(missing, w)
		}
		w.err = errors.Join(w.err, r.give(w))
	}
	slices.SortStableFunc(missing, func(a, b *row) int {
		if a.asked.Pin != b.asked.Pin {
			return map[bool]int{true: -1, false: 1}[a.asked.Pin]
		}
		return cmp.Compare(a.out.Missing, b.out.Missing)
	})
	if !r.Until.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, max(r.Until.Sub(r.Now()), 0), errWindow)
		defer stop()
	}
	for i, w := range missing {
		r.bringOne(ctx, w, i+1, len(missing))
	}
}

func (r *run) bringOne(ctx context.Context, w *row, number, of int) {
	if ctx.Err() == nil && !r.Until.IsZero() && !r.Now().Before(r.Until) {
		w.late = true
		return
	}
	if ctx.Err() == nil {
		if r.Begin != nil {
			r.Begin(w.asked, number, of)
		}
		began := r.Now()
		w.err = errors.Join(w.err, r.pull(ctx, w))
		w.out.Seconds = seconds(r.Now().Sub(began))
	}
	if cause := context.Cause(ctx); cause != nil && w.out.State == "" {
		w.late = errors.Is(cause, errWindow)
		w.err = nil
		if !w.late {
			w.err = cause
		}
	}
	if r.End != nil {
		r.End(w.asked, w.err)
	}
}

// pull brings an image and gives it to its engines.
func (r *run) pull(ctx context.Context, w *row) error {
	if r.DryRun {
		return r.plan(ctx, w)
	}
	if err := r.room(ctx, w); err != nil {
		return err
	}
	if err := r.keepOld(ctx, w); err != nil {
		return err
	}
	pulled, err := w.client.Pull(ctx, r.Store, w.asked.Reference)
	if errors.Is(err, syscall.ENOSPC) && r.makeRoom(ctx, 0) {
		pulled, err = w.client.Pull(ctx, r.Store, w.asked.Reference)
	}
	if err != nil {
		return err
	}
	w.has(pulled.Image, pulled.Root.Digest)
	w.out.State, w.out.Root, w.out.Wanted = syncreport.Pulled, pulled.Root.Digest, pulled.Manifest.Digest
	if pulled.Fetched > 0 || w.held.Verified.IsZero() {
		w.held.Verified = now(r.Options)
	}
	for _, t := range pulled.Traffic {
		w.out.Hosts = append(w.out.Hosts, syncreport.Host{Host: t.Host, Bytes: t.Bytes})
		w.out.Received += t.Bytes
	}
	return r.give(w)
}

// plan says what a pull would do.
func (r *run) plan(ctx context.Context, w *row) error {
	p, err := w.client.Plan(ctx, r.Store, w.asked.Reference, r.plans...)
	if err != nil {
		return err
	}
	r.plans = append(r.plans, p)
	w.out.State, w.out.Missing = syncreport.Pulled, p.Fetch
	return p.Fits
}

// give gives what a run has brought of an image to its engines. Those that have
// it keep it.
func (r *run) give(w *row) error {
	if r.DryRun || w.held.Root == "" || w.held.Manifest != w.stored.Manifest {
		return nil
	}
	var errs []error
	for _, into := range w.out.Into {
		errs = append(errs, r.Engines.Give(into, w.client, w.asked, w.stored, w.held.Root))
	}
	return errors.Join(errs...)
}

// room makes sure that the disk has room for an image, as far as its manifest
// tells.
func (r *run) room(ctx context.Context, w *row) error {
	need := uint64(w.out.Missing) + r.Reserve
	if r.Store.Room(need, 0) == nil || r.makeRoom(ctx, need) {
		return nil
	}
	return r.Store.Room(need, 0)
}
