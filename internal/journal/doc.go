// SPDX-License-Identifier: Apache-2.0

// Package journal reads and writes the list of all paths of a layer, files.zst
// in its directory. Package overlaystore has the specification.
package journal

import "github.com/layerctl/layerctl/errkind"

// Name is the journal's file in a layer's directory.
const Name = "files.zst"

// ErrDamaged: the file is no journal, or not all of one.
var ErrDamaged = errkind.New(errkind.Mismatch, "damaged")
