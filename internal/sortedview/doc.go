// SPDX-License-Identifier: Apache-2.0

// Package sortedview says what a stack of layers shows, from their journals, in
// a memory that does not grow with the number of paths: the journals' records
// are sorted by path, on a disk where they are many, and merged as they are read
// again. What it says is what package stackview says in memory.
//
//	view := sortedview.New(sortedview.Options{Dir: staging})
//	defer view.Close()
//	for … { // the lowest layer first
//		err = view.Add(ctx, journal, facts)
//	}
//	err = view.All(ctx, func(f sortedview.File) error { … })
//
// # How it merges
//
// A record's key is its path with NUL in the place of each slash: sorted byte
// by byte, that is depth first with the names of each directory in order. So
// all that the layers say of one path comes together, the lowest layer first
// and each layer's records in their order, and what was said of the
// directories above it is on a stack.
//
// A hardlink within a layer is resolved as its journal is read, for the last
// record of its target before it is the file that it means; a layer that has
// hardlinks is read twice for that. One that leads into lower layers is looked
// for in a pass over the sorted records, and in another for each symlink on its
// way.
//
// # Memory
//
// [Options].Sorted for what is sorted at once, 64 KiB at most for each part that
// was sorted by itself, and about 150 bytes for each file of a layer that has
// several names and for each link into lower layers, which [Options].Memory
// bounds.
package sortedview
