// SPDX-License-Identifier: Apache-2.0

// Package engines has the commands that give images to the engines of the node
// and take them back, and what the other commands say of it.
package engines
