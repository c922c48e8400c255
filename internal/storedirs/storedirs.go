// SPDX-License-Identifier: Apache-2.0

// Package storedirs makes and opens the directories that a store on disk is
// made of, and refuses those that cannot be one. What is in them it does not
// know; package overlaystore specifies the format.
package storedirs

import (
	"errors"
	"fmt"
	"os"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
)

// The directories of a store, by the names that stand on disk.
const (
	Layers   = "layers"
	Fix      = "fix"
	Links    = "l"
	Images   = "images"
	Refs     = "refs"
	Leases   = "leases"
	Staging  = "staging"
	Trash    = "trash"
	Locks    = "locks"
	Unsynced = "unsynced"
)

// subdirs are made with the store, and its only directories beside blobs/.
var subdirs = []string{
	Layers, Fix, Links, Images, Refs, Leases, Staging, Trash, Locks, Unsynced,
}

// The files beside them, and two directories that stay empty: the kernel
// wants two lower dirs.
const (
	FormatFile = "store.json"
	LockFile   = "lock"
	EmptyLink  = "0"     // in Links
	Empty      = "empty" // made when first needed
)

// LowerDir is the lower dir in a layer's directory, and Index the file of an
// image's index in one in fix/.
const (
	LowerDir = "fs"
	Index    = "index.erofs"
)

// blobsDir is kept by package cache.
const blobsDir = "blobs"

// ErrFormat: the directory is no store, or one of a format that this version
// does not know.
var ErrFormat = errkind.New(errkind.Filesystem, "unknown store format")

// maxFormat bounds store.json in bytes.
const maxFormat = 1 << 16

// ReadFormat reads store.json.
func ReadFormat(root *os.File) ([]byte, error) { return ReadFile(root, FormatFile, maxFormat) }

// ReadFile reads one of the store's own files, which are never larger than
// limit.
func ReadFile(dir *os.File, name string, limit int64) ([]byte, error) {
	raw, err := fsat.ReadFile(dir, name, limit)
	if errors.Is(err, fsat.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", journal.ErrDamaged, err)
	}
	return raw, err
}
