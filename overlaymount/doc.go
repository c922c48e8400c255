// SPDX-License-Identifier: Apache-2.0

// Package overlaymount assembles the layers of an image in a store, and mounts them or
// prints how to mount them.
//
// Most callers want [Assemble], and then [Mount.Mount] or [Mount.Line]:
//
//	m, err := overlaymount.Assemble(ctx, store, img, overlaymount.Options{})
//	line, err := m.Line("/mnt")
//
// [Unmount] undoes a mount, and [Leftovers] lists upper directories whose writable mounts
// no longer exist. [Survey] finds out what the host can do.
//
// # Promises
//
// After mounting, the mount that the kernel lists is compared with the one that was
// asked for, because mount(2) returns 0 after several mistakes. A mount shows the
// layers of the image and no others. A command that was printed fails after its layers
// were removed, and never mounts other layers.
//
// Not promised: that a mount stays usable if somebody removes layers by hand.
package overlaymount
