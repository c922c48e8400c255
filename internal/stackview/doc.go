// SPDX-License-Identifier: Apache-2.0

// Package stackview merges a stack of layers in memory: it says which paths the stack
// shows, with which attributes, and which layer has the content of each.
//
// It is given the journal of each layer. The layers may come in any order and at the
// same time; they are merged when all are complete:
//
//	stack := stackview.NewStack(stackview.Options{})
//	l := stack.Layer() // one for each layer; each may be filled by a goroutine of its own
//	options.Record = l.Record
//	…
//	err = l.End(result.Facts)
//	…
//	view, err := stack.Merge(layers...) // the lowest first
//	for file := range view.All() {
//		…
//	}
//
// # What it shows
//
// The same as the mounted stack with its fix layer (see overlaystore):
//
//   - an implied directory has the attributes of the nearest lower layer with an
//     entry for it. An opaque mark in between does not matter; a whiteout, a file or
//     a replaced directory in between ends the search. If it finds none they are
//     0755, 0:0 and the time 0;
//   - a bare directory, one that a layer implies only by whiteouts in it, does not
//     exist unless a lower layer has it;
//   - a hard link into a lower layer is one more name of the file there;
//   - owners are those of the image, also where a store's disk has others.
//
// # What a layer is made of
//
// [Layer.Record] takes the journal that unpack makes and overlaystore keeps, or the
// entries of a tar in their order, with clean paths and the types of package layer.
// The rules of a layer (image-spec, layer.md, "Whiteouts") hold for both. A whiteout
// of a name that the layer has itself hides only what lower layers have there.
// Missing parents are implied. A hard link to a path that the layer does not have
// leads into a lower layer. Paths must be relative, without empty, "." or ".." parts;
// nothing else is taken for granted.
//
// # Memory
//
// A path takes about 400 bytes in its layer, and the bytes of its name, of a
// symlink's target and of its extended attributes. A directory takes as much again
// in the view. [Options].Memory bounds the sum over all layers and the view.
package stackview
