// SPDX-License-Identifier: Apache-2.0

// Package reconcile makes a store, and the engines of its node, equal to a list
// of images: it brings what is missing, gives it to the engines, and drops what
// the list no longer names.
//
//	report, err := reconcile.Run(ctx, images, reconcile.Options{Client: c, Store: s, Engines: e})
//
// # Promises
//
// One run works on a store at a time. A run that was cut at any moment goes on
// with the next: what it had begun to name is noted before. A run for which
// nothing changed sends one request an image, a HEAD of its tag.
//
// What one image fails for does not stop the others. An image of the list that
// the node has stays, in the store and in the engines, until the one that takes
// its place is there, whatever else goes wrong. What another than a run named is
// never dropped, nor what a container or a mount uses, nor anything while the
// list has a line that makes no sense.
//
// # On disk, in sync/ of a store
//
//	lock          held by the run
//	names.json    the names that runs have made
//	report.json   the last run's report
package reconcile
