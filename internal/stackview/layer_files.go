// SPDX-License-Identifier: Apache-2.0

package stackview

import "iter"

// All yields the layer's own paths in the order of [View.All]. Unlike a view it also
// yields whiteouts, and a Hardlink for each link into a lower layer, with the target
// as Linkname; Opaque is set for opaque directories. Call it after [Layer.End], and do
// not merge the layer after that.
func (l *Layer) All() iter.Seq[File] {
	own := &View{root: l.root}
	own.group()
	return func(yield func(File) bool) {
		for path, n := range own.walk(".", l.root) {
			f := own.file(path, n)
			f.Opaque = n.entry.Opaque
			if !yield(f) {
				return
			}
		}
	}
}
