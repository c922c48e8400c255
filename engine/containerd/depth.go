// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"strconv"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/opencontainers/go-digest"
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
	// spare digits are for the containers that are still to come, whose own
	// directories are named as well.
	spareDigits = 2
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
	if size := optionsSize(next, there, len(layers)-have); size >= page {
		return &DepthError{len(layers), size}
	}
	return nil
}

// probe makes a snapshot for a moment, and returns its directory.
func (e *Engine) probe(ctx context.Context) (string, error) {
	key := "layerctl-probe-" + rand.Text()
	answer, err := e.prepare(ctx, "", &snapshots.PrepareSnapshotRequest{Snapshotter: e.at.Snapshotter, Key: key})
	if err != nil {
		return "", explain(err)
	}
	_, err = e.snapshots.Remove(e.in(ctx, ""), &snapshots.RemoveSnapshotRequest{Snapshotter: e.at.Snapshotter, Key: key})
	if err != nil && !isNotFound(err) { // the collector may be faster
		return "", explain(err)
	}
	m, err := parseMount(answer.Mounts)
	return m.upper, err
}

// optionsSize is how long the mount options of a container are, as containerd
// writes them (core/mount/mount_linux.go): its own directories by their paths,
// the layers' by the end of theirs. last is a directory of the newest snapshot.
func optionsSize(last string, below []string, more int) int {
	id, err := strconv.Atoi(path.Base(path.Dir(last)))
	if err != nil {
		return 0 // named in another way than is known
	}
	own := len(last) + spareDigits
	size := len("index=off,workdir=,upperdir=,lowerdir=") + own + own + len("work") - len("fs")
	for _, dir := range below {
		size += len(path.Base(path.Dir(dir))) + len("/fs:")
	}
	for i := range more {
		size += len(strconv.Itoa(id+1+i)) + len("/fs:")
	}
	return size
}
