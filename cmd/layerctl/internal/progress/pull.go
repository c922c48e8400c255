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

// pull is what is known of a pull of one image or several. It has no lock of
// its own.
type pull struct {
	now   func() time.Time
	image image
	// Of the images that are over, and of this one.
	images, failed   int
	bytes            int64
	fetched, present int
	began            time.Time
}

// image is the one that is being pulled.
type image struct {
	ref        string
	number, of int
	began      time.Time
	meter      meter
	layers     map[digest.Digest]layer
	total      int // of the image's layers
	done       int // fetched, unpacked and verified
	present    int // were there
	committing bool
	engine     string            // that it is given to
	outages    map[string]outage // by host
}

// layer is one that is worked on.
type layer struct {
	number  int
	size    int64
	offset  int64
	waiting bool // for another process
	again   bool
}

// outage is a time in which a host brings nothing.
type outage struct {
	registry.Retry
	since, until time.Time // when it began, and when it is asked again
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

// event takes note of a step, and says whether the meter moved.
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

// retry takes note of a pause, or of its end, and says how long the outage took
// and whether it is the first that is heard of it.
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
	case r.Round < before.Round: // of another stream, which began later
		return now.Sub(before.since), false
	}
	first = !known || r.Round > before.Round
	i.outages[r.Host] = outage{Retry: r, since: before.since, until: now.Add(r.Wait)}
	return now.Sub(before.since), first
}

// finish adds what the image was to the sums, once.
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

// atWork are the layers that are worked on, the lowest first.
func (i *image) atWork() []layer {
	list := slices.Collect(maps.Values(i.layers))
	sort.Slice(list, func(a, b int) bool { return list[a].number < list[b].number })
	return list
}

// outage is the one that is to end last, if there is any.
func (i *image) outage() (last outage, any bool) {
	for _, o := range i.outages {
		if !any || o.until.After(last.until) {
			last, any = o, true
		}
	}
	return last, any
}

// worthSumming says that there is more to tell than one failure, which tells of
// itself.
func (p *pull) worthSumming() bool { return p.images > 1 || p.images == 1 && p.failed == 0 }

// summary is what a pull of images did: "pulled 3 images: 120.7 MB in 41 s, 2
// layers were there".
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
