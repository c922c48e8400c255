// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestPlay holds the model to what can be told without it.
func TestPlay(t *testing.T) {
	n := usual()
	n.Nodes = 30
	each := float64(n.Changed*n.Layers) * n.Bytes
	sites := 3.0
	for _, w := range ways() {
		r := n.play(w)
		if again := n.play(w); again != r {
			t.Errorf("%s: the same seed gives %+v and %+v", w.name, r, again)
		}
		least := map[share]float64{alone: 30, mirror: sites, peers: sites, pieces: 1}[w.share]
		if got := r.Sent / each; got < least-0.01 || got > 30.01 || w.share != peers && math.Abs(got-least) > 0.01 {
			t.Errorf("%s: the registry sends all %.2f times, not %.0f", w.name, got, least)
		}
		if r.All < r.Half || r.Half == 0 || r.Peak > r.Requests {
			t.Errorf("%s: %+v", w.name, r)
		}
	}
	alone := n.play(ways()[0])
	// A site's link is what ten nodes wait for.
	if want := time.Duration(10 * each / n.Link * float64(time.Second)); alone.All < want || alone.All > want+want/10 {
		t.Errorf("at once all are done after %v, not %v", alone.All, want)
	}
	if want := 30 * (n.Images + 3*n.Changed + n.Changed*n.Layers); alone.Requests != want {
		t.Errorf("%d requests, not %d", alone.Requests, want)
	}
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := print(&b, usual(), "10"); err != nil || strings.Count(b.String(), "\n") != 1+len(ways()) {
		t.Errorf("%s, %v", b.String(), err)
	}
	for _, nodes := range []string{"", "0", "x", "10,-1"} {
		if err := print(&b, usual(), nodes); err == nil {
			t.Errorf("%q is a number of nodes", nodes)
		}
	}
}
