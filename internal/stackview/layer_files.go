// SPDX-License-Identifier: Apache-2.0

package stackview

import "iter"

// All yields what the layer itself says, in the order of [View.All]: besides
// files and directories its whiteouts, and as a Hardlink each that leads into
// a lower layer, Linkname being where. Opaque is set where the layer hides what
// lower ones have in a directory. The layer must have ended, and must not be
// merged after that.
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
