// SPDX-License-Identifier: Apache-2.0

// Package signatures asks policies and keys about images, for a person, for the
// store's own commands, and for containerd, which calls a binary before it pulls:
// https://github.com/containerd/containerd/blob/main/docs/image-verification.md.
package signatures
