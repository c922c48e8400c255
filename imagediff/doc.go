// SPDX-License-Identifier: Apache-2.0

// Package imagediff says what differs between two images, or two platforms of
// one: layers, files, and what the configs say.
//
//	found, err := imagediff.Compare(a, b, imagediff.Options{})
//	…
//	for _, change := range found.Files {
//		fmt.Println(change.Kind, change.Path)
//	}
//
// # What counts
//
// Files are compared as the images show them, in whatever layer they are: type,
// content, permissions, owner, link target, device, extended attributes. Contents are
// compared by size and CRC-32C, as they were recorded when the layer was verified; no
// content is read. So an author who makes two files with the same size and checksum
// can hide a change. Times are compared only with [Options.Times]. How many names a
// file has is not compared.
//
// # Not promised
//
// Paths, targets and values are whatever their author wrote; quote them to print
// them.
package imagediff
