// SPDX-License-Identifier: Apache-2.0

// Package diff has the command diff, which shows what differs between two images.
package diff
