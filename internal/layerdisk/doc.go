// SPDX-License-Identifier: Apache-2.0

// Package layerdisk is the disk below the unpacking of a layer: the system calls
// that make files and attributes ([Kernel]), and a tree in memory that answers
// as they would ([Memory]), so that one piece of code decides what a layer means
// whether or not anything is written.
//
// A [Disk] takes descriptors and single names. Nothing in it follows a symlink
// or walks a path of the image's, but for [Kernel.OpenBelow], which the kernel
// itself keeps below a root.
package layerdisk

// The bounds of Linux on a name and on a path, its NUL included.
const (
	nameMax = 255
	pathMax = 4096
)
