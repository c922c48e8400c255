// SPDX-License-Identifier: Apache-2.0

// Package syncing has the commands sync, which makes a node equal to a list of images,
// and status, which prints how the last sync went.
package syncing
