// SPDX-License-Identifier: Apache-2.0

// Package stackview says what a stack of layers shows, in memory: which paths
// there are, with which attributes, and which layer has the content of each.
//
// It is fed with the journal of each layer, in whatever order and by whatever
// means they come, and merges them when all are there:
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
//   - a directory that a layer only implies keeps the attributes of the nearest
//     lower layer that says them, through opaque marks, but not through a
//     whiteout, a file, or a replaced directory; where none says them they are
//     0755, 0:0, the epoch;
//   - a directory that is there for whiteouts only, and that no lower layer
//     has, does not exist;
//   - a hardlink into a lower layer is another name of that very file, and of
//     all names that it still has;
//   - owners are the image's, whatever a store makes of them on its disk.
//
// # What a layer may be fed with
//
// The journal that unpack gives out and overlaystore keeps, or the entries of a
// tar in their order, brought to paths and types: the rules of a layer (image-spec,
// layer.md, "Whiteouts") hold for both. A whiteout of a name that the layer
// makes says only that nothing of lower layers stays there; parents that no
// entry made are implied; a hardlink to what the layer does not have leads to
// a lower one. Nothing is believed to be clean but paths: those must be
// relative, without empty, "." or ".." parts.
//
// # Memory
//
// A path takes about 400 bytes in its layer, and as much again in the view
// where it is a directory, and besides the bytes of the path, of a symlink's
// target and of extended attributes. [Options].Memory bounds the sum over all
// layers and the view. What the view hides is free again once the layers are.
package stackview
