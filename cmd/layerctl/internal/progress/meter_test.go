// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/progress"
)

func eventOf(kind progress.Kind, name string, size, offset int64) progress.Event {
	return progress.Event{Kind: kind, Layer: ocispec.Descriptor{Digest: digest.FromString(name), Size: size}, Number: 1, Of: 2, Offset: offset}
}

func TestMeter(t *testing.T) {
	now := time.Unix(0, 0)
	m := &meter{now: func() time.Time { return now }}
	m.event(eventOf(progress.LayerMissing, "a", 1000, 0))
	m.event(eventOf(progress.LayerMissing, "b", 3000, 0))
	m.event(eventOf(progress.LayerProgress, "a", 1000, 0))
	if m.rate() != 0 || m.left() >= 0 {
		t.Errorf("at the start: rate %v, left %v", m.rate(), m.left())
	}
	for i := int64(1); i <= 10; i++ {
		now = now.Add(time.Second)
		m.event(eventOf(progress.LayerProgress, "a", 1000, i*100))
	}
	if got := m.rate(); got != 100 {
		t.Errorf("rate %v, want 100", got)
	}
	if got, want := m.left(), 30*time.Second; got != want {
		t.Errorf("left %v, want %v", got, want)
	}
	if got, want := m.String(), "25 % of 4.0 kB, 100 B/s, 30 s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// What happened long ago does not count.
	for range 20 {
		now = now.Add(time.Second)
		m.event(eventOf(progress.LayerProgress, "b", 3000, 0))
	}
	if got := m.rate(); got != 0 {
		t.Errorf("rate %v after a pause, want 0", got)
	}
	m.event(eventOf(progress.LayerProgress, "a", 1000, 5))
	if m.got != 1000 {
		t.Errorf("it went back to %d", m.got)
	}
}
