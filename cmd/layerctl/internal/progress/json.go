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
// docs/progress.md describes all of it, and is a promise.
type jsonLines struct {
	mu    sync.Mutex
	w     io.Writer
	pull  *pull
	ref   string // of the image that was finished last
	shown map[digest.Digest]int64
}

type line struct {
	Ref    string        `json:"ref,omitempty"`
	Event  string        `json:"event"`
	Image  int           `json:"image,omitempty"`
	Images int           `json:"images,omitempty"`
	Layer  digest.Digest `json:"layer,omitempty"`
	Number int           `json:"number,omitempty"`
	Of     int           `json:"of,omitempty"`
	Offset *int64        `json:"offset,omitempty"`
	Size   int64         `json:"size,omitempty"`
	Rate   int64         `json:"rate,omitempty"`
	Left   *int64        `json:"left,omitempty"`
	Host   string        `json:"host,omitempty"`
	Bytes  *int64        `json:"bytes,omitempty"`
	Round  int           `json:"round,omitempty"`
	Rounds int           `json:"rounds,omitempty"`
	// In seconds.
	Wait    *float64 `json:"wait,omitempty"`
	Seconds *float64 `json:"seconds,omitempty"`
	Cause   string   `json:"cause,omitempty"`
	Engine  string   `json:"engine,omitempty"`
	Code    int      `json:"code,omitempty"`
	Message string   `json:"message,omitempty"`
	// Of a summary.
	Failed  *int `json:"failed,omitempty"`
	Fetched *int `json:"fetched,omitempty"`
	Present *int `json:"present,omitempty"`
}

func (p *jsonLines) write(l line) {
	// Nothing can be done about a standard error that does not take a line.
	_ = terminal.WriteJSONLine(p.w, l)
}

func (p *jsonLines) Begin(ref string, number, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pull.begin(ref, number, of)
	p.write(line{Ref: ref, Event: "begin", Image: number, Images: of})
}

func (p *jsonLines) Event(ref string, e progress.Event) {
	said := line{Ref: ref, Layer: e.Layer.Digest, Number: e.Number, Of: e.Of, Size: e.Layer.Size}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pull.event(ref, e)
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
		said.Rate = int64(p.pull.image.meter.rate())
		if left := p.pull.image.meter.left(); left >= 0 {
			seconds := int64(left.Seconds())
			said.Left = &seconds
		}
	}
	p.write(said)
}

// isNews reports whether a layer has come one percent further since its last line.
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

func (p *jsonLines) Retry(r registry.Retry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lasted, news := p.pull.retry(r)
	if !news {
		return
	}
	ref, wait, seconds := p.pull.image.ref, r.Wait.Seconds(), lasted.Seconds()
	if r.Err == nil {
		p.write(line{Ref: ref, Event: "resume", Host: r.Host, Seconds: &seconds})
		return
	}
	p.write(line{Ref: ref, Event: "retry", Host: r.Host, Round: r.Round, Rounds: r.Rounds, Wait: &wait, Cause: cause(r)})
}

func (p *jsonLines) Giving(engine string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(line{Ref: p.pull.image.ref, Event: "give", Engine: engine})
}

func (p *jsonLines) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ref, p.shown = p.pull.image.ref, nil
	p.pull.finish()
}

func (p *jsonLines) Traffic(ref string, sent []registry.Traffic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range sent {
		p.write(line{Ref: ref, Event: "traffic", Host: t.Host, Bytes: &t.Bytes})
	}
}

func (p *jsonLines) Failed(code int, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pull.failed++
	p.write(line{Ref: p.ref, Event: "error", Code: code, Message: text})
}

func (p *jsonLines) Summary() {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.pull
	seconds := t.now().Sub(t.began).Seconds()
	p.write(line{Event: "summary", Images: t.images, Failed: &t.failed, Fetched: &t.fetched, Present: &t.present, Bytes: &t.bytes, Seconds: &seconds})
}
