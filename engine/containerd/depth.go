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

// DepthError says that the engine could not start a container of so many layers: it
// writes the names of all their directories, such as "123/fs", into one page of mount
// options, and the numbers grow with each snapshot that it ever had.
type DepthError struct {
	Layers int // of the image
	Bytes  int // of the mount options
}

func (e *DepthError) Error() string {
	return fmt.Sprintf("its %d layers take %d bytes of mount options there, and one mount has room for %d", e.Layers, e.Bytes, page)
}

func (e *DepthError) Unwrap() error { return ErrUnsupported }

const (
	page = 4096 // what mount(2) takes
	// certain is how many layers fit for sure, with numbers of up to ten digits.
	certain = 250
)

// Admit returns a [DepthError] where the engine could not start containers of an
// image of these layers.
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

// probe makes a snapshot, removes it, and returns the directory that it had.
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
