// SPDX-License-Identifier: Apache-2.0

// Package flatten makes one plain directory of what the layers of an image
// show.
//
//	place, err := flatten.Begin(ctx, "/rootfs", false)
//	…
//	defer place.Discard()
//	image, err := flatten.Read(ctx, place, "unpack example", layers, flatten.Options{Fetch: fetcher})
//	…
//	defer image.Close()
//	counts, err := image.Make(ctx)
//
// Every file is made once: a layer that was unpacked for this only has its
// files moved into place by rename, of one in a store they are copied, by
// reflink where the filesystem has that. Whiteouts, opaque directories, links
// between layers and implied attributes are the view's business (see
// internal/stackview), so nothing is made that has to be deleted again.
//
// # Promises
//
// Nothing is made or changed outside the directory, whatever the view holds:
// every path is opened component by component, no symbolic link is followed.
// A directory that was not there before appears whole, by one rename, or not
// at all. Nothing is synced to the disk.
package flatten
