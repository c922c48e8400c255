// SPDX-License-Identifier: Apache-2.0

// Package dirstate keeps what must be known of a layer's directories while it is
// unpacked and cannot be asked of the filesystem.
package dirstate

import (
	"maps"
	"slices"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/layer"
)

// State is what must be known of one directory. Most have nothing of it and are
// not kept.
type State struct {
	Implied bool         // the tar has no entry for it
	Bare    bool         // it is implied, and by whiteouts only
	Marked  bool         // it holds or held whiteouts
	Opaque  layer.Opaque // why it hides what lies below
	Late    bool         // Mode waits for the end
	Mode    uint32
	ACL     string // the default ACL, which would pass to what is made in it
}

// States keeps, by path, what must be known of directories. It is right for
// each directory that exists; entries of removed ones stay behind, and the next
// directory of that path starts anew.
type States struct {
	ByPath map[string]State
	// Keep is asked before so much more is kept.
	Keep func(path string, more int) error
}

// At is the state of a directory.
func (n *States) At(path string) State { return n.ByPath[path] }

// Put sets the state of a directory.
func (n *States) Put(path string, v State) error {
	_, known := n.ByPath[path]
	if v == (State{}) {
		if known {
			delete(n.ByPath, path)
		}
		return nil
	}
	if !known {
		if err := n.Keep(path, 0); err != nil {
			return err
		}
	}
	if v.ACL != "" {
		if err := n.Keep("", len(v.ACL)); err != nil {
			return err
		}
	}
	n.ByPath[path] = v
	return nil
}

// Hidden is true where a proper ancestor of path is opaque, so that nothing
// of a lower layer can be seen at path.
func (n *States) Hidden(path string) bool {
	if len(n.ByPath) == 0 {
		return false
	}
	for dir := range entryname.Above(path) {
		if n.ByPath[dir].Opaque != layer.Transparent {
			return true
		}
	}
	return false
}

// Real notes that the layer has something at path itself: it and what it lies
// in are no longer there for whiteouts only.
func (n *States) Real(path string) {
	for {
		v := n.ByPath[path]
		if !v.Bare {
			return
		}
		v.Bare = false
		n.ByPath[path] = v
		path, _ = entryname.Split(path)
	}
}

// Saved is the state of one directory in a checkpoint.
type Saved struct {
	Path                  []byte
	Implied, Bare, Marked bool
	Opaque                layer.Opaque
}

// Save lists all states, for a checkpoint. It is false while something waits for
// the end of the layer.
func (n *States) Save() (all []Saved, ok bool) {
	for _, path := range slices.Sorted(maps.Keys(n.ByPath)) {
		v := n.ByPath[path]
		if v.Late || v.ACL != "" {
			return nil, false
		}
		all = append(all, Saved{[]byte(path), v.Implied, v.Bare, v.Marked, v.Opaque})
	}
	return all, true
}

// Restore brings back what was saved. It is false for what no layer has.
func (n *States) Restore(all []Saved) bool {
	for _, s := range all {
		switch s.Opaque {
		case layer.Transparent, layer.Marked, layer.Replaced:
		default:
			return false
		}
		n.ByPath[string(s.Path)] = State{Implied: s.Implied, Bare: s.Bare, Marked: s.Marked, Opaque: s.Opaque}
	}
	return true
}
