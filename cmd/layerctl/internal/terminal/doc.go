// SPDX-License-Identifier: Apache-2.0

// Package terminal writes what people read: text and JSON in which nothing
// can change the state of a terminal, lines of standard error, sizes, colours.
//
// Names and texts come from images and registries. [Escape] is the one way
// from such text to a line, [WriteJSON] the one way from a value to JSON.
package terminal
