// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
)

// prepare makes a snapshot to fill.
func (e *Engine) prepare(ctx context.Context, lease string, request *snapshots.PrepareSnapshotRequest) (answer *snapshots.PrepareSnapshotResponse, err error) {
	err = e.again(func() error {
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

// again has a snapshot made. An engine that was killed while it made one has left a
// directory without a record, and the next one, which gets its number again, fails;
// but then the engine removes what is in the way.
func (e *Engine) again(make func() error) error {
	err := make()
	if failure.IsLeftBehind(err) {
		e.log.Info("the engine was killed while it made a snapshot; make it once more", "error", err)
		err = make()
	}
	return err
}
