// SPDX-License-Identifier: Apache-2.0

// Package probe finds out by trying what a filesystem and the kernel can do for
// a store. It leaves nothing behind.
package probe

import "github.com/layerctl/layerctl/errkind"

// ErrUnsupported: the filesystem or the kernel cannot do what is needed.
var ErrUnsupported = errkind.New(errkind.Filesystem, "unsupported")

// Prefix begins the names of directories in which something is tried.
const Prefix = ".probe-"
