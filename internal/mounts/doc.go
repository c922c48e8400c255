// SPDX-License-Identifier: Apache-2.0

// Package mounts reads from /proc which overlays are mounted, in every mount
// namespace that the caller may look into, and has the kernel's mount API.
//
// Mounts by fuse-overlayfs are known by the arguments of its process.
package mounts

// The filesystem types of an image's mount, as mountinfo shows them, and the
// program that mounts the second: an overlay, or an index over tars.
const (
	OverlayType = "overlay"
	EROFSType   = "erofs"
	FUSEType    = "fuse." + FUSEProgram
	FUSEProgram = "fuse-overlayfs"
)
