// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
)

// prepare makes a snapshot to fill.
func (e *Engine) prepare(ctx context.Context, lease string, request *snapshots.PrepareSnapshotRequest) (answer *snapshots.PrepareSnapshotResponse, err error) {
	err = e.cleaned(ctx, func() error {
		answer, err = e.snapshots.Prepare(e.in(ctx, lease), request)
		return err
	})
	return answer, err
}

// forget removes a snapshot that nobody shall have, also when ctx has ended. The
// engine's collector may be faster.
func (e *Engine) forget(ctx context.Context, lease, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := e.snapshots.Remove(e.in(ctx, lease), &snapshots.RemoveSnapshotRequest{Snapshotter: e.at.Snapshotter, Key: key})
	if failure.IsNotFound(err) {
		return nil
	}
	return failure.Explain(err)
}

// cleaned has a snapshot made. An engine that was killed while it made one has
// left a directory without a record, and no snapshot can be made until it is
// gone, for the next one gets its number again: then the engine is asked to
// remove what has no record, and once more.
func (e *Engine) cleaned(ctx context.Context, make func() error) error {
	err := make()
	if !failure.IsLeftBehind(err) {
		return err
	}
	if _, failed := e.snapshots.Cleanup(e.in(ctx, ""), &snapshots.CleanupRequest{Snapshotter: e.at.Snapshotter}); failed != nil {
		e.log.Info("have the engine remove what has no record", "error", failed)
		return err
	}
	return make()
}
