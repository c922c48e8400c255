// SPDX-License-Identifier: Apache-2.0

// Package layer is the vocabulary for an unpacked layer: what one path of it is
// ([Entry]), in which form a directory keeps what a filesystem alone cannot say
// ([Form]), and what the layer needs from those below it ([Facts]).
//
// Package unpack says with it what it made, package overlaystore keeps it, and
// whoever merges layers goes by it. It holds types only: no disk, no tar.
package layer
