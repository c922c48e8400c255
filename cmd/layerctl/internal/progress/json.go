// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// jsonLines writes one JSON object a line:
//
//	{"ref":"…","event":"progress","layer":"sha256:…","number":1,"of":3,"offset":65536,"size":3600000,"rate":1000000,"left":3}
//
// docs/progress.md is the whole of it, and a promise.
type jsonLines struct {
	mu    sync.Mutex
	w     io.Writer
	meter meter
	shown map[digest.Digest]int64
}

type line struct {
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

func (p *jsonLines) Event(ref string, e progress.Event) {
	said := line{Ref: ref, Layer: e.Layer.Digest, Number: e.Number, Of: e.Of, Size: e.Layer.Size}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter.event(e)
	switch e.Kind {
	case progress.LayerPresent:
		said.Event = "present"
	case progress.LayerWaiting:
		said.Event = "waiting"
	case progress.LayerMissing:
		said.Event = "missing"
	case progress.LayerAgain:
		said.Event = "again"
	case progress.LayerDone:
		said.Event, said.Offset = "done", &e.Offset
	case progress.Committing:
		said.Event = "commit"
	default:
		if !p.isNews(e) {
			return
		}
		said.Event, said.Offset = "progress", &e.Offset
		said.Rate = int64(p.meter.rate())
		if left := p.meter.left(); left >= 0 {
			seconds := int64(left.Seconds())
			said.Left = &seconds
		}
	}
	// Nothing can be done about a standard error that does not take a line.
	_ = terminal.WriteJSONLine(p.w, said)
}

// isNews thins the progress of a layer out to one line a percent.
func (p *jsonLines) isNews(e progress.Event) bool {
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

func (p *jsonLines) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meter, p.shown = meter{now: p.meter.now}, nil
}

func (p *jsonLines) Traffic(ref string, sent []registry.Traffic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range sent {
		_ = terminal.WriteJSONLine(p.w, line{Ref: ref, Event: "traffic", Host: t.Host, Bytes: &t.Bytes})
	}
}
