// SPDX-License-Identifier: Apache-2.0

// Package args reads what people write on a command line, in a list of images
// and in /etc/fstab: flags anywhere, sizes, owners, the words of mount(8).
//
// What makes no sense is a [UsageError], which says what does.
package args
