// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// setting is the night that is played.
type setting struct {
	Seed            int64
	Nodes           int
	Images, Changed int     // of the list; of which so many have changed
	Layers          int     // new ones of an image that has changed
	Bytes           float64 // of a new layer, compressed
	Registry        float64 // bytes a second that it sends, to all
	Link, LAN       float64 // bytes a second of a site's link, and within a site
	Site            int     // nodes of a site
	Splay, Jitter   time.Duration
}

// way is how nodes come to layers.
type way struct {
	name  string
	splay bool
	// share says who sends a layer that another node of the site (of the whole
	// fleet, where wide) has.
	share share
	wide  bool
}

// share is what nodes have of each other.
type share int

const (
	alone  share = iota
	mirror       // one node of a site first, and all others from it: layerctl serve
	peers        // whoever has the whole layer: spegel
	pieces       // whoever has a piece: dragonfly
)

func ways() []way {
	return []way{
		{name: "at once"},
		{name: "splay", splay: true},
		{name: "splay, serve at each site", splay: true, share: mirror},
		{name: "at once, spegel at each site", share: peers},
		{name: "splay, spegel at each site", splay: true, share: peers},
		{name: "at once, dragonfly", share: pieces, wide: true},
	}
}

// outcome is what a night came to.
type outcome struct {
	Sent        float64 // bytes by the registry
	Requests    int     // to it
	Peak        int     // requests in the busiest second
	Connections int     // downloads at a time, at most
	Half, All   time.Duration
}

// node is one machine.
type node struct {
	site, begins int // in seconds
	layer        int // the one that it is at
	got          float64
	asked        bool // for the images that have not changed
	outside      bool // the layer comes from the registry
	done         int
}

// night is a setting that is being played, a second at a time: the model is that of flows that
// share what they cross evenly.
type night struct {
	setting
	way
	nodes  []node
	has    []map[int]int // by site: how many nodes have a layer
	starts []map[int]bool
	result outcome
	second int
}

// play plays a night.
func (n setting) play(w way) outcome {
	chance := rand.New(rand.NewPCG(uint64(n.Seed), uint64(n.Nodes)))
	p := &night{setting: n, way: w}
	sites := (n.Nodes + n.Site - 1) / n.Site
	if w.wide {
		sites = 1
	}
	for range sites {
		p.has, p.starts = append(p.has, map[int]int{}), append(p.starts, map[int]bool{})
	}
	for i := range n.Nodes {
		begins := chance.IntN(int(n.Jitter/time.Second) + 1)
		if w.splay {
			begins = chance.IntN(int(n.Splay / time.Second))
		}
		site := i / n.Site
		if w.wide {
			site = 0
		}
		if w.share == mirror && i%n.Site > 0 {
			begins += int(n.Splay / time.Second) // after the one
		}
		p.nodes = append(p.nodes, node{site: site, begins: begins})
	}
	const longest = 7 * 24 * 3600
	for p.second = 0; p.second < longest && p.step(); p.second++ {
	}
	p.finish()
	return p.result
}

// layers are how many new ones a node needs.
func (p *night) layers() int { return p.Changed * p.Layers }

// step plays one second, and says whether anybody has more to do.
func (p *night) step() (more bool) {
	requests := 0
	outside := map[int]int{} // flows from the registry, by site
	var flows []*node
	for i := range p.nodes {
		d := &p.nodes[i]
		if d.done > 0 {
			continue
		}
		more = true
		if p.second < d.begins {
			continue
		}
		requests += p.ask(d)
		if d.layer < p.layers() {
			flows = append(flows, d)
			if d.outside {
				outside[d.site]++
			}
		} else {
			d.done = p.second + 1
		}
	}
	total := 0
	for _, n := range outside {
		total += n
	}
	p.result.Requests += requests
	p.result.Peak, p.result.Connections = max(p.result.Peak, requests), max(p.result.Connections, total)
	p.move(flows, outside, total)
	return more
}

// ask sends the requests of a node that begins something: how many the registry
// gets.
func (p *night) ask(d *node) int {
	n := 0
	served := p.share == mirror && p.has[d.site][-1] > 0
	if !d.asked {
		d.asked = true
		n += p.Images + 3*p.Changed // a HEAD each; index, manifest and config
		if served {
			n = 0
		}
	}
	if d.got > 0 || d.layer >= p.layers() || d.got < 0 {
		return n
	}
	d.outside = true
	switch p.share {
	case mirror, peers:
		d.outside = p.has[d.site][d.layer] == 0
	case pieces:
		d.outside = !p.starts[d.site][d.layer]
	}
	p.starts[d.site][d.layer] = true
	if d.outside {
		n++
	}
	d.got = 1 // it has been asked for
	return n
}

// move moves what one second lets.
func (p *night) move(flows []*node, outside map[int]int, total int) {
	inside := map[int]int{}
	for _, d := range flows {
		if !d.outside {
			inside[d.site]++
		}
	}
	for _, d := range flows {
		speed := p.LAN
		switch {
		case d.outside:
			speed = min(p.Link/float64(outside[d.site]), p.Registry/float64(total))
			if p.wide {
				speed = min(p.Link, p.Registry/float64(total)) // each site has a link
			}
		case p.share == mirror:
			speed = p.LAN / float64(inside[d.site])
		case p.wide:
			speed = p.Link // pieces cross the sites' links
		}
		speed = min(speed, p.Bytes-d.got+1)
		d.got += speed
		if d.outside {
			p.result.Sent += speed
		}
		if d.got >= p.Bytes {
			p.has[d.site][d.layer]++
			d.layer, d.got = d.layer+1, 0
			if d.layer == p.layers() {
				p.has[d.site][-1]++
			}
		}
	}
}

// finish says when half of the nodes, and all, were done.
func (p *night) finish() {
	var took []int
	for _, d := range p.nodes {
		took = append(took, d.done)
	}
	slices.Sort(took)
	p.result.Half = time.Duration(took[len(took)/2]) * time.Second
	p.result.All = time.Duration(took[len(took)-1]) * time.Second
}
