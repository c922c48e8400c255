// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// pull is the state of a pull of one image or several. It has no lock of its own.
type pull struct {
	now   func() time.Time
	image image
	// The sums over the images that are finished.
	images, failed   int
	bytes            int64
	fetched, present int
	began            time.Time
}

// image is the image that is being pulled.
type image struct {
	ref        string
	number, of int
	began      time.Time
	meter      meter
	layers     map[digest.Digest]layer
	total      int // how many layers the image has
	done       int // how many were fetched, unpacked and verified
	present    int // how many were in the store
	committing bool
	engine     string            // the engine that it is given to
	outages    map[string]outage // by host
}

// layer is a layer at work.
type layer struct {
	number  int
	size    int64
	offset  int64
	waiting bool // for another process
	again   bool
}

// outage is a time in which a host sends nothing.
type outage struct {
	registry.Retry
	since, until time.Time // when it began, and when the host is asked again
}

func newPull(now func() time.Time) *pull {
	return &pull{now: now, image: image{meter: meter{now: now}}}
}

func (p *pull) begin(ref string, number, of int) {
	if p.began.IsZero() {
		p.began = p.now()
	}
	p.image = image{ref: ref, number: number, of: of, began: p.now(), meter: meter{now: p.now}}
}

// event counts a step, and reports whether it is progress.
func (p *pull) event(ref string, e progress.Event) bool {
	i := &p.image
	if i.ref == "" {
		i.ref = ref
	}
	if i.layers == nil {
		i.layers, i.outages = map[digest.Digest]layer{}, map[string]outage{}
	}
	i.total = max(i.total, e.Of)
	l := i.layers[e.Layer.Digest]
	l.number, l.size, l.offset = e.Number, e.Layer.Size, max(l.offset, e.Offset)
	switch e.Kind {
	case progress.LayerPresent:
		i.present++
		delete(i.layers, e.Layer.Digest)
	case progress.LayerWaiting:
		l.waiting = true
		i.layers[e.Layer.Digest] = l
	case progress.LayerProgress:
		l.waiting = false
		i.layers[e.Layer.Digest] = l
	case progress.LayerAgain:
		l.again = true
		i.layers[e.Layer.Digest] = l
	case progress.LayerDone:
		i.done++
		delete(i.layers, e.Layer.Digest)
	case progress.Committing:
		i.committing = true
	}
	return i.meter.event(e)
}

// retry counts a pause, or its end. It returns how long the outage has lasted, and whether
// this is news: no other connection to the host has reported the same.
func (p *pull) retry(r registry.Retry) (lasted time.Duration, first bool) {
	i := &p.image
	if i.outages == nil {
		i.layers, i.outages = map[digest.Digest]layer{}, map[string]outage{}
	}
	now := p.now()
	before, known := i.outages[r.Host]
	switch {
	case r.Err == nil:
		delete(i.outages, r.Host)
		return now.Sub(before.since), known
	case !known:
		before.since = now
	case r.Round < before.Round: // from another connection, which failed later
		return now.Sub(before.since), false
	}
	first = !known || r.Round > before.Round
	i.outages[r.Host] = outage{Retry: r, since: before.since, until: now.Add(r.Wait)}
	return now.Sub(before.since), first
}

// finish adds the figures of the image to the sums, once.
func (p *pull) finish() {
	i := &p.image
	p.bytes += i.meter.got
	p.fetched += i.done
	p.present += i.present
	if i.number > 0 {
		p.images++
	}
	*i = image{meter: meter{now: p.now}}
}

// atWork returns the layers at work, the lowest first.
func (i *image) atWork() []layer {
	list := slices.Collect(maps.Values(i.layers))
	sort.Slice(list, func(a, b int) bool { return list[a].number < list[b].number })
	return list
}

// outage returns the outage that ends last, if there is one.
func (i *image) outage() (last outage, any bool) {
	for _, o := range i.outages {
		if !any || o.until.After(last.until) {
			last, any = o, true
		}
	}
	return last, any
}

// worthSumming reports whether a summary says more than the error of one image.
func (p *pull) worthSumming() bool { return p.images > 1 || p.images == 1 && p.failed == 0 }

// summary returns a line such as "pulled 3 images: 120.7 MB in 41 s, 2 layers were there".
func (p *pull) summary() string {
	count := terminal.Count(p.images, "image")
	if p.failed > 0 {
		count = fmt.Sprintf("%d of %s", p.images-p.failed, count)
	}
	text := fmt.Sprintf("pulled %s: %s in %s", count, terminal.Bytes(p.bytes), span(p.now().Sub(p.began)))
	switch {
	case p.present == 1:
		text += ", 1 layer was there"
	case p.present > 1:
		text += fmt.Sprintf(", %d layers were there", p.present)
	}
	return text
}
