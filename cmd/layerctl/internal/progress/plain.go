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

// plainEvery is how often a log hears how far a pull is.
const plainEvery = 10 * time.Second

// plain writes a line when a layer starts and when it is done, and in
// between how far all is, how fast it goes and how long it will take.
type plain struct {
	console *terminal.Console
	mu      sync.Mutex
	meter   meter
	told    time.Time
}

func (p *plain) Event(_ string, e progress.Event) {
	if what := describe(e); what != "" {
		p.console.Say("%s", what)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.meter.event(e) {
		return
	}
	now := p.meter.time()
	if p.told.IsZero() {
		p.told = now
	}
	if now.Sub(p.told) >= plainEvery {
		p.told = now
		p.console.Say("%s", &p.meter)
	}
}

func (p *plain) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter, p.told = meter{now: p.meter.now}, time.Time{}
}

func (p *plain) Traffic(ref string, sent []registry.Traffic) {
	tellTraffic(p.console, ref, sent)
}

// tellTraffic is one line for a person.
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
