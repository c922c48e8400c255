// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"os"

	"github.com/opencontainers/go-digest"
)

// Taker takes layers of an image while it is pulled. The zero value takes none.
type Taker struct {
	// Came hears of each layer that came, from several goroutines: its files are all
	// there and verified, in the lower dir that it gets, and not yet durable.
	Came func(diffID digest.Digest, lower *os.File)
	// All hears when all have come, and the sync that makes them durable waits for
	// it.
	All func(context.Context)
	// Elsewhere are layers that it has: they do not come, and an image of which the
	// store lacks any of them gets no record and no name there.
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
