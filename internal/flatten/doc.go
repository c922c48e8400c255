// SPDX-License-Identifier: Apache-2.0

// Package flatten makes one plain directory with the files that an image shows.
//
//	place, err := flatten.Begin(ctx, "/rootfs", false)
//	…
//	defer place.Discard()
//	image, err := flatten.Read(ctx, place, "unpack example", layers, flatten.Options{Fetch: fetcher})
//	…
//	defer image.Close()
//	counts, err := image.Make(ctx)
//
// Every file is made once. Files of a layer that was unpacked for this are moved
// into place by rename; files of a store's layer are copied, as reflinks where the
// filesystem can do that. The view (internal/stackview) decides about whiteouts,
// opaque directories, links between layers and implied attributes beforehand, so
// nothing is made that must be deleted again.
//
// # Promises
//
// Nothing is made or changed outside the directory, whatever the image contains:
// paths are opened component by component, and no symbolic link below the directory
// is followed. A directory that was not there before appears complete, by one
// rename, or not at all. Nothing is synced to the disk.
package flatten
