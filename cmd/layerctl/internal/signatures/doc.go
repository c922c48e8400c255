// SPDX-License-Identifier: Apache-2.0

// Package signatures asks policies and keys about images: for the command
// verify-signature, for other commands, and for containerd, which runs a program before
// it pulls (https://github.com/containerd/containerd/blob/main/docs/image-verification.md).
package signatures
