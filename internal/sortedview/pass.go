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
	// Entry has the path and the attributes of the file. Its type is never Hardlink,
	// Removed or OpaqueMark, and Whiteout only with Options.Alone. Implied is true for
	// a directory without an entry in any layer.
	layer.Entry
	// Layer is the index, from 0 for the lowest, of the layer that has the file's
	// content or the directory's entry; -1 if none has.
	Layer int
	// File is a number that all names of one file share; 0 if the file has one name.
	File uint64
}

// All calls yield with every path: the root first, a directory before its content, and
// the names in a directory sorted by their bytes. It may be called several times, with
// the same result; after the first call no layer can be added. The error is that of
// yield, of the context or of the disk, or [ErrMalformed] or [ErrLimit].
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
	yield    func(File) error // nil if the pass only resolves links
	searches *searches        // nil if the pass resolves no links

	frames []frame // the directories above the current path
	key    []byte  // the key of the current path
	states []said  // what each layer has at the current path, the lowest first
	kills  []kill
	bodies []byte // the bodies of states
}

// frame is a directory above the current path.
type frame struct {
	key    []byte
	floor  uint32 // nothing of layers below this one is visible in the directory
	dead   bool   // nothing of any layer is: the path is no directory
	kills  []kill
	states []said // only in a pass that resolves links
}

// kill says that a layer removed a directory: its records with numbers below before
// do not count for paths in the directory.
type kill struct{ layer, before uint32 }

// What a layer has at a path.
const (
	nothing byte = iota
	directory
	whiteout
	file
)

// said is what one layer has at a path, after all of its records for the path.
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
		if err := p.path(); err != nil { // no layer has a record for the root
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

// leave removes the frames that are not above the current path.
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

// layer reads all records of one layer for the current path.
func (p *pass) layer(m *merger) error {
	s := said{layer: m.first().layer}
	before := uint32(0) // records with lower numbers do not count
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

// record applies one more record of a layer.
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

// describe applies the entry of a directory. A directory that is opaque stays opaque.
// One that follows a file or a whiteout of the same layer shows nothing of lower ones.
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

// take keeps a record's body until the next path.
func (p *pass) take(s *said, r *record) {
	s.kind, s.seq = r.kind, r.seq
	at := len(p.bodies)
	p.bodies = append(p.bodies, r.body...)
	s.body = p.bodies[at:len(p.bodies):len(p.bodies)]
}

// seen is what the merged layers show at a path.
type seen struct {
	is    byte
	at    int    // which of states has the entry; -1 for a directory without one
	floor uint32 // nothing of layers below this one is visible in the directory
}

// see merges the states of the layers from floor on and below limit.
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

// path handles the current path after the records of all layers.
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
		if err := p.yieldFile(v); err != nil {
			return err
		}
	}
	p.enter(v, dead)
	return p.ctx.Err()
}

// enter adds a frame for the current path if the paths that follow may be below it.
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
		p.frames = p.frames[:n+1] // reuses the memory of an earlier frame
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

// yieldFile calls yield with the current path.
func (p *pass) yieldFile(v seen) error {
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

// refOf returns the file that a hard link is a name of. ok is false for anything else.
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
