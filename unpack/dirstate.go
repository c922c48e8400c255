// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/layer"
)

// dirState is what must be known of a directory and cannot be asked of the
// filesystem. Most directories have nothing of it and are not kept.
type dirState struct {
	implied bool         // the tar has no entry for it
	bare    bool         // it is implied, and by whiteouts only
	marked  bool         // it holds or held whiteouts
	opaque  layer.Opaque // why it hides what lies below
	late    bool         // mode waits for the end
	mode    uint32
	acl     string // the default ACL, which would pass to what is made in it
}

// dirStates keeps, by path, what must be known of directories. It is right for
// each directory that exists; entries of removed ones stay behind, and the next
// directory of that path starts anew.
type dirStates struct {
	byPath map[string]dirState
	meter  *meter
}

func (n *dirStates) at(path string) dirState { return n.byPath[path] }

func (n *dirStates) put(path string, v dirState) error {
	_, known := n.byPath[path]
	if v == (dirState{}) {
		if known {
			delete(n.byPath, path)
		}
		return nil
	}
	if !known {
		if err := n.meter.keep(path, 0); err != nil {
			return err
		}
	}
	if v.acl != "" {
		if err := n.meter.keep("", len(v.acl)); err != nil {
			return err
		}
	}
	n.byPath[path] = v
	return nil
}

// hidden is true where a proper ancestor of path is opaque, so that nothing
// of a lower layer can be seen at path.
func (n *dirStates) hidden(path string) bool {
	if len(n.byPath) == 0 {
		return false
	}
	for dir := range entryname.Above(path) {
		if n.byPath[dir].opaque != layer.Transparent {
			return true
		}
	}
	return false
}

// real notes that the layer has something at path itself: it and what it lies
// in are no longer there for whiteouts only.
func (n *dirStates) real(path string) {
	for {
		v := n.byPath[path]
		if !v.bare {
			return
		}
		v.bare = false
		n.byPath[path] = v
		path, _ = entryname.Split(path)
	}
}
