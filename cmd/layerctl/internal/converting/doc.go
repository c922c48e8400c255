// SPDX-License-Identifier: Apache-2.0

// Package converting has the command that makes a store of the other form beside
// one.
package converting
