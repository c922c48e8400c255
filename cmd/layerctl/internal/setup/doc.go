// SPDX-License-Identifier: Apache-2.0

// Package setup makes of the flags that commands share what they work with: the
// store, the client, the cache, limits and progress; and enters the user
// namespace that a store needs.
package setup
