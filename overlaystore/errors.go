// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// The errors that callers branch on, with errors.Is. Errors of the operating
// system, such as ENOSPC, match beside them.
var (
	// ErrNotFound: the store has no such image, reference or layer.
	ErrNotFound = errkind.New(errkind.NotFound, "not found")
	// ErrExists: the layer is in the store already.
	ErrExists = errors.New("already in the store")
	// ErrDamaged: something in the store is not what was committed.
	ErrDamaged = journal.ErrDamaged
	// ErrBusy: a mount or another process is using the image or the layer.
	ErrBusy = errkind.New(errkind.Busy, "busy")
	// ErrUnsupported: the filesystem or the kernel lacks what is needed.
	ErrUnsupported = probe.ErrUnsupported
	// ErrFormat: the directory is no store, or a store of a format that this
	// version does not know.
	ErrFormat = storedirs.ErrFormat
)
