// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// plainEvery is how often a log gets a line with the figures.
const plainEvery = 30 * time.Second

// plain writes a line with the reference for each change: when an image begins, when a
// layer begins and is done, when a host fails and answers again. In between it writes how
// far the image is, how fast it comes and how long it will take.
type plain struct {
	console *terminal.Console
	mu      sync.Mutex
	pull    *pull
	told    time.Time
}

func (p *plain) Begin(ref string, number, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pull.begin(ref, number, of)
	if of > 1 {
		p.console.Say("%s: image %d of %d", ref, number, of)
	}
}

func (p *plain) Event(ref string, e progress.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if what := describe(e); what != "" {
		p.say(ref, what)
	}
	if !p.pull.event(ref, e) {
		return
	}
	now := p.pull.now()
	if p.told.IsZero() {
		p.told = now
	}
	if now.Sub(p.told) >= plainEvery {
		p.told = now
		p.say(ref, p.pull.image.meter.String())
	}
}

func (p *plain) Retry(r registry.Retry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lasted, news := p.pull.retry(r)
	switch {
	case !news:
	case r.Err == nil:
		p.say(p.pull.image.ref, fmt.Sprintf("%s answers again, after %s", r.Host, span(lasted)))
	default:
		p.say(p.pull.image.ref, fmt.Sprintf("%s: %s", r.Host, retrying(r, r.Wait)))
	}
}

func (p *plain) Giving(engine string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.say(p.pull.image.ref, "giving to "+engine)
}

// say writes a line about an image.
func (p *plain) say(ref, text string) {
	if ref != "" {
		text = ref + ": " + text
	}
	p.console.Say("%s", text)
}

func (p *plain) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pull.finish()
	p.told = time.Time{}
}

func (p *plain) Traffic(ref string, sent []registry.Traffic) {
	tellTraffic(p.console, ref, sent)
}

func (p *plain) Failed(int, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pull.failed++
}

func (p *plain) Summary() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pull.worthSumming() {
		p.console.Say("%s", p.pull.summary())
	}
}

// tellTraffic writes one line that says how much each host sent.
func tellTraffic(to *terminal.Console, ref string, sent []registry.Traffic) {
	var hosts []string
	for _, t := range sent {
		hosts = append(hosts, fmt.Sprintf("%s from %s", terminal.Bytes(t.Bytes), t.Host))
	}
	to.Say("%s: %s", ref, strings.Join(hosts, ", "))
}

func describe(e progress.Event) string {
	layer := fmt.Sprintf("layer %d/%d %s", e.Number, e.Of, terminal.Short(e.Layer.Digest))
	switch {
	case e.Kind == progress.LayerPresent:
		return layer + ": in the store already"
	case e.Kind == progress.LayerWaiting:
		return layer + ": waiting for another process that is fetching it"
	case e.Kind == progress.LayerProgress && e.Offset == 0:
		return fmt.Sprintf("%s: fetching %s", layer, terminal.Bytes(e.Layer.Size))
	case e.Kind == progress.LayerAgain:
		return layer + ": damaged on the way, fetching it again"
	case e.Kind == progress.LayerDone:
		return layer + ": done"
	case e.Kind == progress.Committing:
		return "committing to disk"
	default:
		return ""
	}
}
