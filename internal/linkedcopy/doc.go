// SPDX-License-Identifier: Apache-2.0

// Package linkedcopy fills a directory with hard links to the files of a lower
// dir, so that a second program has the same layer on the disk for the price of
// its directories.
//
//	c := linkedcopy.New(linkedcopy.Options{})
//	err := c.Fill(ctx, upper, linkedcopy.Layer{From: lower, Below: below})
//	err = durable.SyncFS(ctx, upper) // then it may be shown to anybody
//
// The copy is made to stand on top of other directories as one layer of an
// overlay. What is in it already, a fix layer, stays, and lies over the files
// of the lower dir; so one directory shows what the fix layer and the layer
// show together. Whiteouts that hide nothing are left out, for overlayfs would
// list some of them as names that do not exist.
//
// Directories are made, with mode, owner, times and extended attributes, the
// overlay's marks among them; everything else is linked. Where the kernel makes
// no link, between two mounts or after too many of them, the file is cloned,
// and where the filesystem cannot do that either it is copied. [Copier.Done]
// says how much, and why.
//
// Nothing is followed and no mount is entered. The caller must be root, of his
// user namespace at least: owners and the overlay's attributes are set. Nothing is durable before the caller's sync.
package linkedcopy
