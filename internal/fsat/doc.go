// SPDX-License-Identifier: Apache-2.0

// Package fsat opens, describes and removes files below a directory that
// somebody else may write to. It is the boundary that keeps an image, or a
// local user, from leading this program to a file of somebody else's.
//
//	f, err := fsat.OpenFile(dir, "etc/passwd")      // a regular file, or an error
//	err = fsat.SetAttributes(f, attributes, nil)    // in the order that keeps them
//	err = fsat.RemoveAll(dir, "staging-1")
//
// # Promises
//
//   - A path is resolved below the directory it is given with. A symbolic
//     link, a magic link of /proc, a ".." or a mount point on the way is an
//     error, also where another process swaps names meanwhile.
//   - Nothing is opened before its type is known. The file is found with
//     O_PATH, its type is read from that descriptor, and the same file is
//     opened through it. No driver of a device starts, and no open waits for
//     the other end of a FIFO or for the holder of a lease.
//   - Attributes are set through descriptors of the file they are meant for.
//   - On the way to a place that the user names, for something to be made there,
//     only symbolic links of the user and of root are followed.
//   - A removal follows no link, enters no mount, and changes modes only of
//     directories below the one that is removed.
//
// # Two kinds of functions
//
// Functions whose names end in FD take and give descriptors and return the
// kernel's error as it is, for callers that make many files. The others take
// and give [os.File] and return an [os.PathError].
//
// # Limits
//
// OpenFile, and functions that change a symbolic link or a device, need /proc. On
// kernels before 5.6 and in sandboxes without openat2(2) each name of a path is
// opened by itself, with the same promises.
package fsat
