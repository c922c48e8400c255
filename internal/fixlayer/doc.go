// SPDX-License-Identifier: Apache-2.0

// Package fixlayer plans and builds fix layers.
//
// A layer is unpacked without a look at the layers below it. What depends on
// them is mended by a fix layer, a small lower dir on top of the stack. It is
// planned in four steps over the assembled stack (repeated layers dropped, cut
// below an opaque root):
//
//  1. Foreign hard links, from the lowest layer to the topmost: the target is
//     looked up in the layers below the link's, following symbolic links in
//     its parents; what is found may itself be such a link. Those links that
//     are visible in the whole stack are copied, each target once, and all
//     names that it still has at the top become links to the copy.
//  2. Implied directories: overlayfs shows the attributes of the topmost
//     directory, but a layer that only implied it cannot say them. The nearest
//     layer below that says them does, through opaque marks, yet not through
//     a whiteout, a file, or a replaced directory; if none does they are
//     0755, root, the epoch. The directory is in the fix layer when that is
//     not what the topmost one has on disk.
//  3. Whiteouts that show: overlayfs lists whiteouts, as names that do not exist, in a
//     directory that only one layer has. Such a directory is in the fix layer
//     too: then two have it, and whiteouts in merged directories do not show.
//     Those by attribute do in the lowest that has it: the fix layer hides each.
//     A directory that was made in a layer only to hold whiteouts, and that no
//     layer below has, does not exist at all: the fix layer has a whiteout.
//  4. All parents of what is there, with the attributes they have by rule 2.
//
// Nothing in a fix layer is opaque, so it hides nothing but what it copies and
// directories without a file.
package fixlayer
