// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// bars shows a bar for each layer that is being fetched.
type bars struct {
	w         io.Writer
	mu        sync.Mutex
	container *mpb.Progress // nil between pulls: mpb's cannot be used again
	layers    map[digest.Digest]*mpb.Bar
	waiting   map[digest.Digest]bool // those of layers that say waitingNote
}

const waitingNote = "another process is fetching it"

func newBars(w io.Writer) *bars { return &bars{w: w} }

func (b *bars) Event(_ string, e progress.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.container == nil {
		b.container = mpb.New(mpb.WithOutput(b.w), mpb.WithWidth(40), mpb.WithAutoRefresh())
		b.layers, b.waiting = map[digest.Digest]*mpb.Bar{}, map[digest.Digest]bool{}
	}
	switch e.Kind {
	case progress.LayerPresent:
		b.drop(e)
		b.bar(e, "in the store").SetTotal(-1, true)
	case progress.LayerWaiting:
		b.bar(e, waitingNote)
		b.waiting[e.Layer.Digest] = true
	case progress.LayerProgress:
		b.drop(e)
		b.bar(e, "").SetCurrent(e.Offset)
	case progress.LayerDone:
		b.bar(e, "").SetTotal(-1, true)
	}
}

// drop takes away the bar of a layer that waited: what is to come says other
// things.
func (b *bars) drop(e progress.Event) {
	if dgst := e.Layer.Digest; b.waiting[dgst] {
		b.layers[dgst].Abort(true)
		delete(b.layers, dgst)
		delete(b.waiting, dgst)
	}
}

// bar is the layer's own, made when it is first heard of.
func (b *bars) bar(e progress.Event, note string) *mpb.Bar {
	if bar, ok := b.layers[e.Layer.Digest]; ok {
		return bar
	}
	var more []decor.Decorator
	right := decor.Any(func(decor.Statistics) string { return " " + note })
	if note == "" {
		right = decor.CountersKiloByte(" % .1f / % .1f")
		more = []decor.Decorator{
			decor.AverageSpeed(decor.SizeB1000(0), "  % .1f"),
			decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 8}),
		}
	}
	bar := b.container.AddBar(e.Layer.Size,
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("layer %d/%d %s ", e.Number, e.Of, terminal.Short(e.Layer.Digest)))),
		mpb.AppendDecorators(append([]decor.Decorator{right}, more...)...))
	// A total of 0 would let the bar end by itself and never again.
	if e.Layer.Size == 0 {
		bar.SetTotal(1, false)
	}
	b.layers[e.Layer.Digest] = bar
	return bar
}

func (b *bars) Finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.container == nil {
		return
	}
	for _, bar := range b.layers {
		bar.Abort(false)
	}
	b.container.Wait()
	b.container = nil
}

func (b *bars) Traffic(ref string, sent []registry.Traffic) {
	tellTraffic(terminal.NewConsole(b.w), ref, sent)
}
