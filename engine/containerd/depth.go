// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/engine/containerd/internal/snapshotdir"
)

// DepthError says that the engine could not start a container of so many layers:
// it writes the names of all their directories into one page, as short as
// "123/fs", and they grow with the number of snapshots that it ever had.
type DepthError struct {
	Layers int // that the image has
	Bytes  int // that the engine would write
}

func (e *DepthError) Error() string {
	return fmt.Sprintf("its %d layers take %d bytes of mount options there, and one mount has room for %d", e.Layers, e.Bytes, page)
}

func (e *DepthError) Unwrap() error { return ErrUnsupported }

const (
	page = 4096 // what mount(2) takes
	// certain layers fit whatever the engine's numbers are, up to ten digits.
	certain = 250
)

// Admit says whether the engine can start containers of an image of these
// layers, before anything is done for it: else a [DepthError].
func (e *Engine) Admit(ctx context.Context, layers []digest.Digest) error {
	if len(layers) <= certain || e.erofs() {
		return nil
	}
	g := &giving{Engine: e}
	chains := chainIDs(layers)
	have, err := g.has(ctx, chains)
	if err != nil {
		return fmt.Errorf("look at the layers in %s: %w", e.at.Address, err)
	}
	below, err := g.directories(ctx, chains[:have])
	defer func() { err = errors.Join(err, closeAll(below)) }()
	if err != nil {
		return fmt.Errorf("look at the layers in %s: %w", e.at.Address, err)
	}
	next, err := e.probe(ctx)
	if err != nil {
		return fmt.Errorf("look at the layers in %s: %w", e.at.Address, err)
	}
	var there []string
	for _, dir := range below {
		there = append(there, dir.Name())
	}
	if size := snapshotdir.OptionsSize(next, there, len(layers)-have); size >= page {
		return &DepthError{len(layers), size}
	}
	return nil
}

// probe makes a snapshot for a moment, and returns its directory.
func (e *Engine) probe(ctx context.Context) (string, error) {
	key := "layerctl-probe-" + rand.Text()
	answer, err := e.prepare(ctx, "", &snapshots.PrepareSnapshotRequest{Snapshotter: e.at.Snapshotter, Key: key})
	if err != nil {
		return "", failure.Explain(err)
	}
	if err := e.forget(ctx, "", key); err != nil {
		return "", err
	}
	m, err := snapshotdir.ParseOverlay(answer.Mounts)
	return m.Upper, err
}
