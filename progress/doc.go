// SPDX-License-Identifier: Apache-2.0

// Package progress tells how far the layers of an image are.
//
// A function func(progress.Event) hears of every step, from several goroutines
// at once, and must not block for long.
package progress
