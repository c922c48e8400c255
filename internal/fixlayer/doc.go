// SPDX-License-Identifier: Apache-2.0

// Package fixlayer plans and builds fix layers.
//
// A layer is unpacked without regard to the layers below it. A fix layer, a small
// lower directory on top of the stack, corrects what depends on them. It is planned
// in four steps over the assembled stack (repeated layers dropped, cut below an opaque
// root):
//
//  1. Foreign links, from the lowest layer to the topmost. The target is looked up
//     in the layers below that of the link; symbolic links among its parents are
//     followed. The target may itself be a foreign link. The target of each link that
//     is visible in the whole stack is copied once, and all its names that are visible
//     become links to the copy.
//  2. Implied directories. Overlayfs shows the attributes of the topmost directory,
//     but those of an implied directory mean nothing. The attributes are those of the
//     nearest layer below with an entry for the directory. An opaque mark in between
//     does not matter; a whiteout, a file or a replaced directory in between ends the
//     search. If it finds none they are 0755, root and the time 0. If the topmost
//     directory has other attributes on disk, the fix layer gets the directory.
//  3. Whiteouts that are visible. In a directory that only one layer has, overlayfs
//     lists whiteouts, as names that do not exist. The fix layer gets such a directory
//     too: then two layers have it, and overlayfs hides whiteouts in merged
//     directories. Whiteouts by attribute are visible in the lowest layer of a merged
//     directory too; the fix layer gets a whiteout for each. A bare directory, one that
//     a layer implies only by whiteouts in it, must not be visible if no lower layer
//     has it; the fix layer gets a whiteout for it.
//  4. The parents of all these, with the attributes of step 2.
//
// Nothing in a fix layer is opaque, so it hides only what it copies and bare
// directories.
package fixlayer
