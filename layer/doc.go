// SPDX-License-Identifier: Apache-2.0

// Package layer is the vocabulary for an unpacked layer: what one of its paths is
// ([Entry]), in which form a disk keeps what a filesystem has no word for
// ([Form]), and what the layer needs from the layers below it ([Facts]).
//
// Package unpack describes with it what it made, package overlaystore keeps these
// descriptions, and the packages that merge layers read them. It has types only,
// and touches neither disk nor tar.
package layer
