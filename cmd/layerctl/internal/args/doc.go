// SPDX-License-Identifier: Apache-2.0

// Package args parses what people write on a command line, in a list of images and in
// /etc/fstab: flags in any order, sizes, owners, the arguments of mount(8).
//
// For anything that it cannot parse the error is a [UsageError], which says what to
// write instead.
package args
