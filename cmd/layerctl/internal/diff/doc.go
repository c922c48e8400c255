// SPDX-License-Identifier: Apache-2.0

// Package diff has the command that says what differs between two images.
package diff
