// SPDX-License-Identifier: Apache-2.0

// Package overlaymount puts the layers of an image in a store together, and
// mounts them or prints how to.
//
// Most callers want [Assemble], and then [Mount.Mount] or [Mount.Line]:
//
//	m, err := overlaymount.Assemble(ctx, store, img, overlaymount.Options{})
//	line, err := m.Line("/mnt")
//
// [Unmount] undoes a mount, and [Leftovers] lists what writable mounts left
// that are no more. [Survey] finds out what the host can do.
//
// # Promises
//
// A mount is compared with what was asked: several mistakes let mount(2) return
// 0. It shows no layer but the image's, and a line that was printed fails once
// its layers are gone, and never mounts others.
//
// Not promised: a mount outlives its store's directory only as long as nobody
// removes layers by hand.
package overlaymount
