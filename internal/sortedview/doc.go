// SPDX-License-Identifier: Apache-2.0

// Package sortedview merges a stack of layers from their journals, with memory that
// does not grow with the number of paths: it sorts the records by path, on a disk if
// they are many, and merges them as it reads them again. The result is the same as
// that of package stackview, which has all paths in memory.
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
// The key of a record is its path with NUL in place of each slash. Sorted by its
// bytes, that is depth first with the names of each directory in order. So all records
// of one path come together, those of the lowest layer first and those of one layer in
// their order; a stack has the records of the directories above the path.
//
// A hard link within a layer is resolved while the journal is read: it is one more name
// of the file of the last record for its target before it. A layer with hard links is
// read twice for that. A link into lower layers is resolved in a pass over the sorted
// records, and in one more pass for each symlink on the way.
//
// # Memory
//
// Sorting takes [Options].Sorted bytes. Each part that was sorted separately takes
// 64 KiB at most. Each file with several names and each link into lower layers takes
// about 150 bytes; [Options].Memory bounds their sum.
package sortedview
