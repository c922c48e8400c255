// SPDX-License-Identifier: Apache-2.0

// Package indexes has the command that makes, annotates and pushes indexes of
// images, in the forms that users of docker manifest and manifest-tool know.
package indexes
