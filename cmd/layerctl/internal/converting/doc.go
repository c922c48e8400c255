// SPDX-License-Identifier: Apache-2.0

// Package converting has the command convert, which makes a store of the other form
// beside a store.
package converting
