// SPDX-License-Identifier: Apache-2.0

package sortedview

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/layerctl/layerctl/layer"
)

// File is one path of a view.
type File struct {
	// Entry has the path and the attributes that it shows. Its type is never
	// Hardlink or one of the marks. Implied is true for a directory that no layer
	// has an entry for.
	layer.Entry
	// Layer is the place, from 0, of the layer that has the content, or that
	// says the attributes of a directory; -1 where none does.
	Layer int
	// File is the same number for all names of one file that may have several; 0
	// is for what has one name. Each name comes with all attributes.
	File uint64
}

// All gives every path to yield, the root first, a directory before what is in
// it, and what is in a directory sorted by name, byte for byte. It may be called
// several times, and gives the same each time; no layer can be added any more.
// The error is yield's, the context's, [ErrMalformed], [ErrLimit], or of the
// disk.
func (v *View) All(ctx context.Context, yield func(File) error) error {
	if !v.ready {
		if err := v.sorter.finish(); err != nil {
			return err
		}
		if err := v.resolve(ctx); err != nil {
			return err
		}
		v.ready = true
	}
	return (&pass{v: v, ctx: ctx, yield: yield}).run()
}

// pass goes over all records once.
type pass struct {
	v        *View
	ctx      context.Context
	yield    func(File) error // nil where only links are looked for
	searches *searches        // nil where none are

	frames []frame
	key    []byte // the path at hand
	states []said // what each layer says of it, the lowest first
	kills  []kill
	bodies []byte // of states
}

// frame is a directory above the path at hand.
type frame struct {
	key    []byte
	floor  uint32 // layers below it show nothing here
	dead   bool   // no layer does: it is no directory
	kills  []kill
	states []said // where links are looked for
}

// kill says that a layer's records before a place say nothing of what is in a
// directory, which was removed there.
type kill struct{ layer, before uint32 }

// What a layer says of a path.
const (
	nothing byte = iota
	directory
	whiteout
	file
)

// said is what one layer says of a path, once all of its records were seen.
type said struct {
	layer   uint32
	is      byte
	kind    layer.Type // of the record
	opaque  layer.Opaque
	implied bool
	bare    bool
	seq     uint32
	body    []byte
}

func (p *pass) run() error {
	m, err := p.v.sorter.merge()
	if err != nil {
		return err
	}
	if r := m.first(); r == nil || len(r.key) > 0 {
		if err := p.path(); err != nil { // a root of which no layer speaks
			return err
		}
	}
	for r := m.first(); r != nil; r = m.first() {
		p.key = append(p.key[:0], r.key...)
		p.states, p.kills, p.bodies = p.states[:0], p.kills[:0], p.bodies[:0]
		p.leave()
		for r != nil && bytes.Equal(r.key, p.key) {
			if err := p.layer(m); err != nil {
				return err
			}
			r = m.first()
		}
		if err := p.path(); err != nil {
			return err
		}
	}
	if p.searches != nil {
		return p.searches.end()
	}
	return nil
}

// leave goes up to what the path at hand lies in.
func (p *pass) leave() {
	for n := len(p.frames); n > 0 && !below(p.key, p.frames[n-1].key); n-- {
		p.frames = p.frames[:n-1]
	}
}

func below(key, dir []byte) bool {
	return len(key) > 0 && (len(dir) == 0 || len(key) > len(dir) && key[len(dir)] == 0 && bytes.HasPrefix(key, dir))
}

func (p *pass) above() *frame {
	if len(p.frames) == 0 {
		return nil
	}
	return &p.frames[len(p.frames)-1]
}

// layer takes all records of one layer for the path at hand.
func (p *pass) layer(m *merger) error {
	s := said{layer: m.first().layer}
	before := uint32(0) // records before this place are dead
	if above := p.above(); above != nil {
		before = killed(above.kills, s.layer)
	}
	removed := uint32(0)
	for r := m.first(); r != nil && r.layer == s.layer && bytes.Equal(r.key, p.key); r = m.first() {
		if r.seq >= before {
			was := s.is
			if err := p.record(&s, r); err != nil {
				return err
			}
			if r.kind == layer.Removed || was == directory && s.is != directory {
				removed = r.seq
			}
		}
		if err := m.next(); err != nil {
			return err
		}
	}
	if removed > before {
		p.kills = append(p.kills, kill{s.layer, removed})
	}
	if s.is != nothing {
		p.states = append(p.states, s)
	}
	return nil
}

func killed(kills []kill, layer uint32) uint32 {
	i := slices.IndexFunc(kills, func(k kill) bool { return k.layer == layer })
	if i < 0 {
		return 0
	}
	return kills[i].before
}

// record has one more record of a layer change what it says.
func (p *pass) record(s *said, r *record) error {
	there := s.is
	switch r.kind {
	case layer.Removed:
		*s = said{layer: s.layer}
	case bareDir:
		s.bare = there == directory
	case layer.OpaqueMark:
		if there == file {
			return fmt.Errorf("%w: %.200q is opaque and no directory", ErrMalformed, pathOf(p.key))
		}
		if there != directory {
			*s = said{layer: s.layer, is: directory, implied: true}
		}
		s.opaque = max(s.opaque, opaqueOf(r.body[0]))
		if there == whiteout {
			s.opaque = layer.Replaced
		}
	case layer.Whiteout:
		if there == nothing {
			s.is, s.seq = whiteout, r.seq
		} else if there == directory {
			s.opaque = layer.Replaced
		}
	case layer.Directory:
		p.describe(s, r)
	default:
		if len(p.key) == 0 {
			return fmt.Errorf("%w: the root is no directory", ErrMalformed)
		}
		*s = said{layer: s.layer, is: file}
		p.take(s, r)
	}
	return nil
}

// describe is a directory's entry. That the directory hides what lies below it
// stays so, and nothing of a lower one is left behind what stood here.
func (p *pass) describe(s *said, r *record) {
	opaque := opaqueOf(r.body[0])
	switch s.is {
	case directory:
		opaque = max(opaque, s.opaque)
	case whiteout, file:
		opaque = layer.Replaced
	}
	*s = said{layer: s.layer, is: directory, opaque: opaque, implied: r.body[0]&bitImplied != 0}
	p.take(s, r)
}

// take keeps a record's body while the path is at hand.
func (p *pass) take(s *said, r *record) {
	s.kind, s.seq = r.kind, r.seq
	at := len(p.bodies)
	p.bodies = append(p.bodies, r.body...)
	s.body = p.bodies[at:len(p.bodies):len(p.bodies)]
}

// seen is what the layers below a limit show of a path: what it is, which of
// states says so, -1 for a directory that none has an entry for, and for a
// directory below which layer nothing in it is seen.
type seen struct {
	is    byte
	at    int
	floor uint32
}

// see lays what the layers say over each other.
func see(states []said, root bool, floor, limit uint32) seen {
	v := seen{at: -1, floor: floor}
	if root {
		v.is = directory
	}
	for i := range states {
		s := &states[i]
		if s.layer < floor {
			continue
		}
		if s.layer >= limit {
			break
		}
		switch s.is {
		case whiteout:
			v.is, v.at = nothing, -1
		case file:
			v.is, v.at = file, i
		case directory:
			if v.is != directory && s.bare {
				continue // a whiteout below a file, or below nothing, deletes nothing
			}
			if v.is != directory || s.opaque == layer.Replaced || root && s.opaque != layer.Transparent {
				v.is, v.at, v.floor = directory, -1, s.layer
			}
			if !s.implied {
				v.at = i
			}
			if s.opaque != layer.Transparent {
				v.floor = s.layer
			}
		}
	}
	return v
}

// path is called when all layers have said what the path at hand is.
func (p *pass) path() error {
	root := len(p.key) == 0
	floor, dead := uint32(0), false
	above := p.above()
	if above != nil {
		floor, dead = above.floor, above.dead
	}
	if p.searches != nil {
		if err := p.searches.visit(p); err != nil {
			return err
		}
	}
	v := see(p.states, root, floor, p.v.layers)
	if p.v.options.Alone && len(p.states) > 0 && p.states[0].is == whiteout {
		v.is, v.at = whiteout, 0
	}
	if p.yield != nil && !dead && v.is != nothing {
		if err := p.give(v); err != nil {
			return err
		}
	}
	p.enter(v, dead)
	return p.ctx.Err()
}

// enter makes the path at hand the one that what follows may lie in.
func (p *pass) enter(v seen, dead bool) {
	dir := len(p.key) == 0 || len(p.kills) > 0
	for i := range p.states {
		dir = dir || p.states[i].is == directory
	}
	if !dir {
		return
	}
	n := len(p.frames)
	if n < cap(p.frames) {
		p.frames = p.frames[:n+1] // with the memory of one that was there before
	} else {
		p.frames = append(p.frames, frame{})
	}
	f := &p.frames[n]
	f.key, f.floor, f.dead = append(f.key[:0], p.key...), v.floor, dead || v.is != directory
	f.kills = append(f.kills[:0], p.kills...)
	if n > 0 {
		for _, k := range p.frames[n-1].kills {
			if killed(f.kills, k.layer) == 0 {
				f.kills = append(f.kills, k)
			}
		}
	}
	if p.searches != nil {
		f.states = append(f.states[:0], p.states...)
	}
}

// give gives the path at hand to who wants it.
func (p *pass) give(v seen) error {
	f := File{Layer: -1}
	if v.is == whiteout {
		f.Entry = layer.Entry{Type: layer.Whiteout, ModTime: time.Unix(0, 0)}
	} else if v.at < 0 {
		f.Entry = layer.Entry{Type: layer.Directory, Mode: 0o755, ModTime: time.Unix(0, 0), Implied: true}
	} else {
		s := &p.states[v.at]
		kind, body, from, seq := s.kind, s.body, s.layer, s.seq
		if ref, ok := p.v.refOf(s); ok {
			var err error
			if body, err = p.v.aside.get(ref.at); err != nil {
				return err
			}
			kind, from, seq = ref.kind, ref.layer, ref.seq
		}
		f.Entry, f.Layer = entryOf(kind, body), int(from)
		if _, several := p.v.several[fileID(from, seq)]; several && s.is == file {
			f.File = fileID(from, seq)
		}
	}
	f.Path, f.Opaque = pathOf(p.key), layer.Transparent
	if p.v.options.Alone && v.is == directory && len(p.states) > 0 {
		f.Opaque = p.states[0].opaque
	}
	return p.yield(f)
}

// refOf is the file that a hardlink means.
func (v *View) refOf(s *said) (ref fileRef, ok bool) {
	switch s.kind {
	case layer.Hardlink:
		return refOf(s.body), true
	case foreign:
		n, _ := binary.Uvarint(s.body)
		return v.links[n].ref, true
	}
	return fileRef{}, false
}
