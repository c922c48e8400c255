// SPDX-License-Identifier: Apache-2.0

package sortedview

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/layer"
)

// link is a hard link into lower layers.
type link struct {
	layer        uint32
	path, target string
	ref          fileRef // the file that it is a name of; no kind until that is known
	same         int     // the number, from 1, of a link of a lower layer to the same file; 0 for none
}

// maxSymlinks is the kernel's MAXSYMLINKS.
const maxSymlinks = 40

// resolve finds the targets of all links into lower layers. Each pass over the records
// leads every link to its target or to the next symlink on its way.
func (v *View) resolve(ctx context.Context) error {
	s := &searches{v: v}
	for i, l := range v.links {
		if err := s.begin(search{link: i, todo: names(l.target)}); err != nil {
			return err
		}
	}
	for len(s.later) > 0 {
		s.now, s.later = s.later, nil
		heap.Init(s)
		if err := (&pass{v: v, ctx: ctx, searches: s}).run(); err != nil {
			return err
		}
	}
	for i := range v.links { // those of the lowest layer come first
		if l := &v.links[i]; l.same > 0 {
			l.ref = v.links[l.same-1].ref
		}
	}
	return nil
}

// search is the search for the target of one link.
type search struct {
	link  int
	at    []string // the directories that were entered, from the root
	todo  []string // the names that are left, the next one last
	key   []byte   // the key of the next path
	links int      // how many symlinks were followed
}

// searches has the searches of one pass.
type searches struct {
	v     *View
	now   []search // a heap by key
	later []search // for the next pass
}

func (s *searches) Len() int           { return len(s.now) }
func (s *searches) Less(i, j int) bool { return bytes.Compare(s.now[i].key, s.now[j].key) < 0 }
func (s *searches) Swap(i, j int)      { s.now[i], s.now[j] = s.now[j], s.now[i] }
func (s *searches) Push(x any)         { s.now = append(s.now, x.(search)) }
func (s *searches) Pop() any {
	last := s.now[len(s.now)-1]
	s.now = s.now[:len(s.now)-1]
	return last
}

// begin continues a search in the next pass, from the root or the directory that it
// has reached.
func (s *searches) begin(q search) error {
	if !q.step() {
		return s.none(&q)
	}
	s.later = append(s.later, q)
	return nil
}

// step sets the key of the next path. It returns false if no name is left.
func (q *search) step() bool {
	for len(q.todo) > 0 {
		name := q.todo[len(q.todo)-1]
		q.todo = q.todo[:len(q.todo)-1]
		switch name {
		case "", ".":
			continue
		case "..":
			q.at = q.at[:max(len(q.at)-1, 0)]
			continue
		}
		q.key = []byte(strings.Join(append(slices.Clip(q.at), name), "\x00"))
		return true
	}
	return false
}

// names returns the parts of a path, the last one first.
func names(path string) []string {
	parts := strings.Split(path, "/")
	slices.Reverse(parts)
	return parts
}

func (s *searches) none(q *search) error {
	l := s.v.links[q.link]
	return fmt.Errorf("%w: %.200q is a hardlink to %.200q, which no lower layer has as a file", ErrMalformed, l.path, l.target)
}

// end fails if a search waits for a path that has not come.
func (s *searches) end() error {
	if len(s.now) > 0 {
		return s.none(&s.now[0])
	}
	return nil
}

// visit continues the searches that wait for the current path.
func (s *searches) visit(p *pass) error {
	if len(s.now) > 0 && bytes.Compare(s.now[0].key, p.key) < 0 {
		return s.end()
	}
	for len(s.now) > 0 && bytes.Equal(s.now[0].key, p.key) {
		q := heap.Pop(s).(search)
		if err := s.meet(p, &q); err != nil {
			return err
		}
	}
	return nil
}

// meet continues a search at the current path.
func (s *searches) meet(p *pass, q *search) error {
	limit := s.v.links[q.link].layer
	floor := uint32(0)
	for i := range p.frames { // all are directories, or the search would have ended
		f := &p.frames[i]
		floor = see(f.states, len(f.key) == 0, floor, limit).floor
	}
	found := see(p.states, len(p.key) == 0, floor, limit)
	switch {
	case found.is == directory:
		q.at = append(q.at, string(p.key[bytes.LastIndexByte(p.key, 0)+1:]))
		return s.descend(p, q)
	case found.is == nothing:
		return s.none(q)
	}
	at := &p.states[found.at]
	if len(q.todo) == 0 {
		return s.found(q, at)
	}
	return s.follow(q, at)
}

// follow continues a search, in the next pass, at the target of the symlink at.
func (s *searches) follow(q *search, at *said) (err error) {
	ref, isRef := s.refOf(at)
	if isRef && ref.kind == 0 { // a link of a lower layer whose target is not known yet
		s.later = append(s.later, *q)
		return nil
	}
	kind, body := at.kind, at.body
	if isRef {
		if kind = ref.kind; kind == layer.Symlink {
			body, err = s.v.aside.get(ref.at)
		}
		if err != nil {
			return err
		}
	}
	if q.links++; kind != layer.Symlink || q.links > maxSymlinks {
		return s.none(q)
	}
	target := entryOf(kind, body).Linkname
	if strings.HasPrefix(target, "/") {
		q.at = q.at[:0]
	}
	q.todo = append(q.todo, names(target)...)
	return s.begin(*q)
}

// refOf is [View.refOf] while the targets of some links are not known.
func (s *searches) refOf(at *said) (ref fileRef, ok bool) {
	if at.kind != foreign {
		return s.v.refOf(at)
	}
	n, _ := binary.Uvarint(at.body)
	l := &s.v.links[n]
	for l.same > 0 {
		l = &s.v.links[l.same-1]
	}
	return l.ref, true
}

// descend continues a search with the next name: in this pass if that path is still to
// come, else in the next.
func (s *searches) descend(p *pass, q *search) error {
	if !q.step() {
		return s.none(q)
	}
	if bytes.Compare(q.key, p.key) > 0 {
		heap.Push(s, *q)
	} else {
		s.later = append(s.later, *q)
	}
	return nil
}

// found ends a search at its target.
func (s *searches) found(q *search, at *said) (err error) {
	l := &s.v.links[q.link]
	switch at.kind {
	case foreign:
		n, _ := binary.Uvarint(at.body)
		l.same = int(n) + 1
		return nil
	case layer.Hardlink:
		l.ref = refOf(at.body)
	default:
		l.ref = fileRef{layer: at.layer, seq: at.seq, kind: at.kind}
		if l.ref.at, err = s.v.aside.add(at.body); err != nil {
			return err
		}
	}
	return s.v.share(l.ref)
}
