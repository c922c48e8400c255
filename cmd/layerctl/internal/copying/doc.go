// SPDX-License-Identifier: Apache-2.0

// Package copying has the commands copy, which copies images between registries, layouts
// and archives, and tags, which lists the tags of a repository.
package copying
