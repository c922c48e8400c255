// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
)

// prepare makes an active snapshot.
func (e *Engine) prepare(ctx context.Context, lease string, request *snapshots.PrepareSnapshotRequest) (answer *snapshots.PrepareSnapshotResponse, err error) {
	err = e.makeSnapshot(func() error {
		answer, err = e.snapshots.Prepare(e.in(ctx, lease), request)
		return err
	})
	return answer, err
}

// forget removes a temporary snapshot, also when ctx has ended. It is no error that
// the engine's collector was faster.
func (e *Engine) forget(ctx context.Context, lease, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := e.snapshots.Remove(e.in(ctx, lease), &snapshots.RemoveSnapshotRequest{Snapshotter: e.at.Snapshotter, Key: key})
	if failure.IsNotFound(err) {
		return nil
	}
	return failure.Explain(err)
}

// makeSnapshot calls call, which makes a snapshot. An engine that was killed while it made one
// has left a directory without a record; it gives the next snapshot the same number and
// fails, but removes that directory then. So makeSnapshot calls call once more.
func (e *Engine) makeSnapshot(call func() error) error {
	err := call()
	if failure.IsLeftBehind(err) {
		e.log.Info("the engine was killed while it made a snapshot; make it once more", "error", err)
		err = call()
	}
	return err
}
