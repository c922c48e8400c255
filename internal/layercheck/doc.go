// SPDX-License-Identifier: Apache-2.0

// Package layercheck compares the directory of one layer with its journal,
// path by path: types, attributes, contents, and names that no record has. It
// knows no store: whoever opened the directory says what it is and whether it
// was moved away meanwhile.
package layercheck
