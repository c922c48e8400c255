// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
)

// rateWindow is the time over which a rate is measured: long enough to be steady, short
// enough to follow the link.
const rateWindow = 15 * time.Second

// meter measures how far a pull is, how fast it is, and how long it will take.
type meter struct {
	now     func() time.Time
	total   int64
	offset  map[digest.Digest]int64
	got     int64
	samples []sample // oldest first, a second apart at least
}

type sample struct {
	at  time.Time
	got int64
}

// event counts an event, and reports whether it is progress.
func (m *meter) event(e progress.Event) bool {
	if m.offset == nil {
		m.offset = map[digest.Digest]int64{}
	}
	switch e.Kind {
	case progress.LayerMissing:
		m.add(e)
		return false
	case progress.LayerProgress, progress.LayerDone:
	default:
		return false
	}
	m.add(e)
	if more := e.Offset - m.offset[e.Layer.Digest]; more > 0 {
		m.offset[e.Layer.Digest] = e.Offset
		m.got += more
	}
	m.sample()
	return true
}

// add counts a layer once.
func (m *meter) add(e progress.Event) {
	if _, known := m.offset[e.Layer.Digest]; !known {
		m.offset[e.Layer.Digest] = 0
		m.total += e.Layer.Size
	}
}

func (m *meter) sample() {
	now := m.now()
	if n := len(m.samples); n > 0 && now.Sub(m.samples[n-1].at) < time.Second {
		return
	}
	m.samples = append(m.samples, sample{now, m.got})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= rateWindow {
		m.samples = m.samples[1:]
	}
}

// rate returns the bytes a second within rateWindow, 0 if they are not known yet.
func (m *meter) rate() float64 {
	if len(m.samples) == 0 {
		return 0
	}
	seconds := m.now().Sub(m.samples[0].at).Seconds()
	if seconds < 1 {
		return 0
	}
	return float64(m.got-m.samples[0].got) / seconds
}

// left returns how long the rest takes at that rate. It is negative if that is not known.
func (m *meter) left() time.Duration {
	rate := m.rate()
	if rate <= 0 {
		return -1
	}
	return time.Duration(float64(m.total-m.got) / rate * float64(time.Second)).Round(time.Second)
}

// percent returns how much has come of the layers that are known.
func (m *meter) percent() int64 {
	if m.total <= 0 {
		return 100
	}
	return m.got * 100 / m.total
}

// String returns the figures for a line of a log.
func (m *meter) String() string {
	text := fmt.Sprintf("%d %% of %s", m.percent(), terminal.Bytes(m.total))
	if left := m.left(); left >= 0 {
		text += fmt.Sprintf(", %s/s, %s left", terminal.Bytes(int64(m.rate())), span(left))
	}
	return text
}
