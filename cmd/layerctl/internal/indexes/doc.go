// SPDX-License-Identifier: Apache-2.0

// Package indexes has the command index, which makes, annotates and pushes indexes of
// images. Its arguments are those of docker manifest and manifest-tool.
package indexes
