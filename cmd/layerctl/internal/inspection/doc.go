// SPDX-License-Identifier: Apache-2.0

// Package inspection has the commands that say what a reference holds, and
// which of it is chosen.
package inspection
