// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"os"

	"github.com/opencontainers/go-digest"
)

// Taker takes layers of an image while it is pulled. The zero value takes none.
type Taker struct {
	// Came is called with each layer that is complete and verified, but not durable
	// yet, and its lower dir, from several goroutines.
	Came func(diffID digest.Digest, lower *os.File)
	// All is called when all layers have come, before the sync that makes them
	// durable.
	All func(context.Context)
	// Sync makes durable what was written before the call. The pull uses it for its
	// syncs in the background; nil is a sync of the pull's own.
	Sync func(context.Context) error
	// Elsewhere are layers that the taker has, so that they are not fetched. If the
	// store lacks any of them it gets no record and no reference of the image.
	Elsewhere []digest.Digest
}

func (t Taker) came(diffID digest.Digest, lower *os.File) {
	if t.Came != nil {
		t.Came(diffID, lower)
	}
}

func (t Taker) all(ctx context.Context) {
	if t.All != nil {
		t.All(ctx)
	}
}
