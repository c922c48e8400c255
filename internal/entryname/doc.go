// SPDX-License-Identifier: Apache-2.0

// Package entryname says what the name of a tar entry means to a layer: which
// path it is, and whether it is a mark that deletes (image-spec, layer.md,
// "Whiteouts").
//
// Paths are relative to the layer's root, without empty, "." or ".." parts and
// without a slash at either end; the root itself is ".".
package entryname
