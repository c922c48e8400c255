// SPDX-License-Identifier: Apache-2.0

// Package mounts reads from /proc which overlays are mounted, in every mount
// namespace that the caller may look into, and has the kernel's mount API.
//
// Mounts by fuse-overlayfs are known by the arguments of its process, and those by
// erofsfuse by their source, as the kernel's own of EROFS.
package mounts

// The filesystem types of an image's mount, as mountinfo shows them: overlays, and
// indexes over tars, each by the kernel and by a program.
const (
	OverlayType   = "overlay"
	EROFSType     = "erofs"
	FUSEType      = "fuse." + FUSEProgram
	EROFSFUSEType = "fuse." + EROFSFUSEProgram

	FUSEProgram      = "fuse-overlayfs"
	EROFSFUSEProgram = "erofsfuse"
)
