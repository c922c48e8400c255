// SPDX-License-Identifier: Apache-2.0

// Package terminal writes text and JSON that cannot change the state of a terminal,
// messages on standard error, sizes and colours.
//
// Names and texts come from images and registries. Print them by [Escape] or a function
// that calls it, and values as JSON by [WriteJSON].
package terminal
