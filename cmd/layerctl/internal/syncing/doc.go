// SPDX-License-Identifier: Apache-2.0

// Package syncing has the commands that make a node equal to a list of images,
// and that tell how it went.
package syncing
