// SPDX-License-Identifier: Apache-2.0

// Package copying has the commands that move images between registries,
// layouts and archives, and list the tags that there are.
package copying
