// SPDX-License-Identifier: Apache-2.0

// Package beneath is the old name of what package fsat does. It goes when the
// last package calls fsat.
package beneath

import (
	"os"

	"github.com/layerctl/layerctl/internal/fsat"
)

// Open is [fsat.Find].
func Open(dir *os.File, path string) (*os.File, error) { return fsat.Find(dir, path) }

// RemoveAll is [fsat.RemoveAll].
func RemoveAll(dir *os.File, name string) error { return fsat.RemoveAll(dir, name) }
