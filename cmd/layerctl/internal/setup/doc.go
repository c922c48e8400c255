// SPDX-License-Identifier: Apache-2.0

// Package setup has the flags that commands share, and opens what these name: the store,
// the client, the cache, limits and progress. It also enters the user namespace that a
// store needs.
package setup
