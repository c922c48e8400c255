// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/registry"
)

// progress shows what a pull is doing, on standard error.
type progress interface {
	// event takes one step of the pull of ref; several goroutines call it.
	event(ref string, e layerctl.Event)
	// finish ends the display of one pull.
	finish()
	// traffic says, after it, who has sent the layers of ref.
	traffic(ref string, sent []registry.Traffic)
}

// newProgress makes what --progress and --quiet ask for. Bars are for a
// terminal only: a log wants lines, and a program wants JSON.
func newProgress(c *cli.Context) (progress, error) {
	mode := c.String("progress")
	if c.Bool("quiet") {
		mode = "none"
	}
	w := c.App.ErrWriter
	if mode == "auto" {
		mode = "plain"
		if isTerminal(w) {
			mode = "tty"
		}
	}
	switch mode {
	case "none":
		return noProgress{}, nil
	case "plain":
		return &plainProgress{console: newConsole(w)}, nil
	case "json":
		return &jsonProgress{encoder: json.NewEncoder(w)}, nil
	case "tty":
		return newBars(w), nil
	default:
		return nil, &usageError{
			problem: fmt.Sprintf("there is no --progress %q", mode),
			hint:    "it is one of auto, tty, plain, json, none",
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

type noProgress struct{}

func (noProgress) event(string, layerctl.Event)       {}
func (noProgress) finish()                            {}
func (noProgress) traffic(string, []registry.Traffic) {}

// plainEvery is how often a log hears how far a pull is.
const plainEvery = 10 * time.Second

// plainProgress writes a line when a layer starts and when it is done, and in
// between how far all is, how fast it goes and how long it will take.
type plainProgress struct {
	console *console
	mu      sync.Mutex
	meter   meter
	told    time.Time
}

func (p *plainProgress) event(_ string, e layerctl.Event) {
	if what := describe(e); what != "" {
		p.console.say("%s", what)
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
		p.console.say("%s", &p.meter)
	}
}

func (p *plainProgress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter, p.told = meter{now: p.meter.now}, time.Time{}
}

func (p *plainProgress) traffic(ref string, sent []registry.Traffic) {
	tellTraffic(p.console, ref, sent)
}

// tellTraffic is one line for a person.
func tellTraffic(to *console, ref string, sent []registry.Traffic) {
	var hosts []string
	for _, t := range sent {
		hosts = append(hosts, fmt.Sprintf("%s from %s", byteSize(t.Bytes), t.Host))
	}
	to.say("%s: %s", ref, strings.Join(hosts, ", "))
}

func describe(e layerctl.Event) string {
	layer := fmt.Sprintf("layer %d/%d %s", e.Number, e.Of, short(e.Layer.Digest))
	switch {
	case e.Kind == layerctl.LayerPresent:
		return layer + ": in the store already"
	case e.Kind == layerctl.LayerWaiting:
		return layer + ": waiting for another process that is fetching it"
	case e.Kind == layerctl.LayerProgress && e.Offset == 0:
		return fmt.Sprintf("%s: fetching %s", layer, byteSize(e.Layer.Size))
	case e.Kind == layerctl.LayerAgain:
		return layer + ": damaged on the way, fetching it again"
	case e.Kind == layerctl.LayerDone:
		return layer + ": done"
	case e.Kind == layerctl.Committing:
		return "committing to disk"
	default:
		return ""
	}
}

// jsonProgress writes one JSON object a line:
//
//	{"ref":"…","event":"progress","layer":"sha256:…","number":1,"of":3,"offset":65536,"size":3600000,"rate":1000000,"left":3}
//
// docs/progress.md is the whole of it, and a promise.
type jsonProgress struct {
	mu      sync.Mutex
	encoder *json.Encoder
	meter   meter
	shown   map[digest.Digest]int64
}

type progressLine struct {
	Ref    string        `json:"ref"`
	Event  string        `json:"event"`
	Layer  digest.Digest `json:"layer,omitempty"`
	Number int           `json:"number,omitempty"`
	Of     int           `json:"of,omitempty"`
	Offset *int64        `json:"offset,omitempty"`
	Size   int64         `json:"size,omitempty"`
	Rate   int64         `json:"rate,omitempty"`
	Left   *int64        `json:"left,omitempty"`
	Host   string        `json:"host,omitempty"`
	Bytes  *int64        `json:"bytes,omitempty"`
}

func (p *jsonProgress) event(ref string, e layerctl.Event) {
	line := progressLine{Ref: ref, Layer: e.Layer.Digest, Number: e.Number, Of: e.Of, Size: e.Layer.Size}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter.event(e)
	switch e.Kind {
	case layerctl.LayerPresent:
		line.Event = "present"
	case layerctl.LayerWaiting:
		line.Event = "waiting"
	case layerctl.LayerMissing:
		line.Event = "missing"
	case layerctl.LayerAgain:
		line.Event = "again"
	case layerctl.LayerDone:
		line.Event, line.Offset = "done", &e.Offset
	case layerctl.Committing:
		line.Event = "commit"
	default:
		if !p.worth(e) {
			return
		}
		line.Event, line.Offset = "progress", &e.Offset
		line.Rate = int64(p.meter.rate())
		if left := p.meter.left(); left >= 0 {
			seconds := int64(left.Seconds())
			line.Left = &seconds
		}
	}
	// Nothing can be done about a standard error that does not take a line.
	_ = p.encoder.Encode(line)
}

// worth thins the progress of a layer out to one line a percent.
func (p *jsonProgress) worth(e layerctl.Event) bool {
	if p.shown == nil {
		p.shown = map[digest.Digest]int64{}
	}
	last, seen := p.shown[e.Layer.Digest]
	if seen && e.Offset-last < max(e.Layer.Size/100, 1) {
		return false
	}
	p.shown[e.Layer.Digest] = e.Offset
	return true
}

func (p *jsonProgress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter, p.shown = meter{now: p.meter.now}, nil
}

func (p *jsonProgress) traffic(ref string, sent []registry.Traffic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range sent {
		_ = p.encoder.Encode(progressLine{Ref: ref, Event: "traffic", Host: t.Host, Bytes: &t.Bytes})
	}
}

// short is a digest's first twelve digits: enough for a person to tell layers
// apart, never used to find one.
func short(d digest.Digest) string {
	if d.Validate() != nil {
		return printable(string(d))
	}
	return d.Encoded()[:12]
}

// byteSize is n in decimal units, as disks and links are sold.
func byteSize(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exponent := float64(n)/unit, 0
	for value >= unit && exponent < 4 {
		value, exponent = value/unit, exponent+1
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTP"[exponent])
}
