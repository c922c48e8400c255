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
// Files are compared as the images show them, whatever layer they are in: type,
// content, permissions, owner, link target, device, extended attributes. That a
// file's content is another is told by its size and its CRC-32C, as they were
// recorded when its layer was verified; no content is read. Who makes two files
// of one size and one checksum hides the change. Times count only where
// [Options.Times] is set, and how many names a file has never.
//
// # Not promised
//
// Paths, targets and values are whatever their author wrote; quote them to print
// them.
package imagediff
