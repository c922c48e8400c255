// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/engine/containerd/internal/snapshotdir"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// place puts the file of the image's layer i into its snapshot, and into the topmost
// snapshot also the index of the image. The engine mounts all layers at once by the
// index, which has what a single layer leaves to the layers below it.
func (g *giving) place(ctx context.Context, a *active, i int) error {
	at, err := snapshotdir.Dir(a.mounts)
	if err != nil {
		return err
	}
	if a.dir, err = g.openDir(at); err != nil {
		return err
	}
	there, err := fsat.Exists(a.dir, snapshotdir.Marker)
	if err == nil && !there {
		err = fmt.Errorf("%w: the directory of a new snapshot has no %s: %s", ErrUnsupported, snapshotdir.Marker, at)
	}
	if err == nil {
		err = g.probeFiles(ctx)
	}
	if err == nil {
		err = g.placeFile(ctx, a.dir, i)
	}
	if err != nil || i < len(g.image.Layers)-1 || g.others {
		return err
	}
	return g.placeMerged(ctx, a.dir)
}

// tar opens the directory of a layer in the store.
func (g *giving) tar(diffID digest.Digest) (*os.File, tarlayer.Layer, error) {
	dir, err := durable.OpenDirAt(g.store.Dir(), storedirs.Layers+"/"+diffID.Encoded())
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("layer %s: %w", diffID, overlaystore.ErrNotFound)
	}
	if err != nil {
		return nil, tarlayer.Layer{}, err
	}
	rec, err := overlaystore.ReadRecord(dir)
	if err != nil {
		return nil, tarlayer.Layer{}, errors.Join(err, dir.Close())
	}
	return dir, tarlayer.Layer{DiffID: diffID, Size: rec.Size, Facts: rec.Facts}, nil
}

// placeFile puts the file of the layer i into a directory.
func (g *giving) placeFile(ctx context.Context, to *os.File, i int) (err error) {
	dir, l, err := g.tar(g.image.Layers[i])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	f, err := tarlayer.Alone(ctx, dir, l, path.Join(g.store.Path(), storedirs.Staging))
	if errors.Is(err, fs.ErrPermission) { // root gets it too, for a file with fs-verity or an attribute such as immutable
		return fmt.Errorf("store %q %w: the file of a layer cannot be made a filesystem: %w", g.store.Path(), ErrUnsupported, err)
	}
	if err != nil {
		return fmt.Errorf("make a filesystem of its file: %w", err)
	}
	return errors.Join(g.copier.File(ctx, to, dir, snapshotdir.Layer), f.Close())
}

// placeMerged puts the index of the image into a directory. The engine passes the
// file of each layer as a device, but the store's index has one device for each
// diffID; an image that repeats a diffID gets an index of its own.
func (g *giving) placeMerged(ctx context.Context, to *os.File) (err error) {
	ix, err := g.store.Index(g.image.Image)
	if err != nil {
		return err
	}
	if len(ix.Devices) < len(g.image.Layers) {
		_, err = tarlayer.CreateIndexOfEach(ctx, to, g.image.Layers, g.tar)
	} else {
		var dir *os.File
		if dir, err = durable.OpenDirAt(g.store.Dir(), path.Dir(ix.Path)); err != nil {
			return err
		}
		err = errors.Join(g.copier.File(ctx, to, dir, storedirs.Index), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return snapshotdir.Rename(to, storedirs.Index, to, snapshotdir.Merged)
}

// mergedDigest returns the digest of the index that placeMerged places, "" where that
// is not the store's or none is placed.
func (g *giving) mergedDigest() (digest.Digest, error) {
	if !g.erofs() || g.others {
		return "", nil
	}
	ix, err := g.store.Index(g.image.Image)
	if err != nil || len(ix.Devices) < len(g.image.Layers) {
		return "", err
	}
	dir, err := durable.OpenDirAt(g.store.Dir(), path.Dir(ix.Path))
	if err != nil {
		return "", err
	}
	rec, err := overlaystore.ReadRecord(dir)
	return rec.Index, errors.Join(err, dir.Close())
}

// renewMerged puts the index into the topmost snapshot of the image, all of whose
// snapshots the engine has. Without anew it does so only where there is no index: the
// topmost layer may have been a lower layer of other images only.
func (g *giving) renewMerged(ctx context.Context, chains []digest.Digest, anew bool) error {
	files, err := g.surveyBelow(ctx, chains)
	if err != nil || g.others || len(files) == 0 {
		return err
	}
	at := path.Dir(files[0])
	dir, err := g.openDir(at)
	if err != nil {
		return err
	}
	there, err := fsat.Exists(dir, snapshotdir.Merged)
	if err = errors.Join(err, dir.Close()); err != nil || there && !anew {
		return err
	}
	return g.renewFile(ctx, at, snapshotdir.Merged, func(to *os.File) error { return g.placeMerged(ctx, to) })
}

// surveyBelow finds out whether the engine has unpacked any of its layers itself,
// and returns the files of all. There can be no index over such layers, so an image
// is refused whose further layers depend on lower ones.
func (g *giving) surveyBelow(ctx context.Context, chains []digest.Digest) (files []string, err error) {
	g.others = false
	if files, err = g.files(ctx, chains); err != nil {
		return nil, err
	}
	for i := range chains {
		ours, err := g.isTar(ctx, files[len(chains)-1-i], g.image.Layers[i])
		if err != nil {
			return nil, err
		}
		g.others = g.others || !ours
	}
	for i := len(chains); g.others && i < len(g.image.Layers); i++ {
		rec, err := g.store.Layer(g.image.Layers[i])
		if err != nil {
			return nil, err
		}
		if dependsOnLower(rec.Facts) {
			return nil, fmt.Errorf("%w: layer %d/%d depends on lower ones, and the engine has unpacked those itself; remove the images there that have them, and give it again", ErrUnsupported, i+1, len(g.image.Layers))
		}
	}
	return files, nil
}

// dependsOnLower reports whether a layer shows on top of others something else than
// by itself, apart from its root.
func dependsOnLower(f layer.Facts) bool {
	return impliesMore(f) || len(f.ForeignLinks) > 0 || f.RootOpaque
}

// files returns the files of the snapshots, the topmost first.
func (g *giving) files(ctx context.Context, chains []digest.Digest) ([]string, error) {
	if len(chains) == 0 {
		return nil, nil
	}
	list, err := g.view(ctx, chains[len(chains)-1])
	if err != nil {
		return nil, err
	}
	return snapshotdir.ParseView(list, len(chains))
}

// remaining are the files below the lowest one that the engine has lost, the topmost
// first, and where that one was; "" says that none is lost. It is ErrUnsupported where
// the lowest lost one is not the store's: another client's image stands on it.
func (g *giving) remaining(ctx context.Context, chains []digest.Digest) (files []string, lost string, err error) {
	for n := len(chains); ; n-- {
		files, err = g.files(ctx, chains[:n])
		if err == nil {
			return files, lost, g.checkLost(ctx, chains[n:], lost)
		}
		if lost = snapshotdir.Lost(err); lost == "" || n == 0 {
			return nil, "", err
		}
	}
}

// checkLost refuses a lost file of a layer that the store has not given. above are the
// chainIDs of that layer and of those above it.
func (g *giving) checkLost(ctx context.Context, above []digest.Digest, lost string) error {
	if lost == "" {
		return nil
	}
	given, err := g.isGiven(ctx, above[0])
	if err == nil && !given {
		err = fmt.Errorf("%w: %s is lost, of a layer that the engine did not get from this store", ErrUnsupported, lost)
	}
	return err
}

// isGiven reports whether a snapshot is of a layer that the store has given.
func (g *giving) isGiven(ctx context.Context, chain digest.Digest) (bool, error) {
	answer, err := g.snapshots.Stat(g.in(ctx, ""), &snapshots.StatSnapshotRequest{Snapshotter: g.at.Snapshotter, Key: chain.String()})
	if err != nil {
		return false, failure.Explain(err)
	}
	return answer.Info.GetLabels()[ownerLabel] == g.owner, nil
}

// isTar reports whether a file of the engine is what the store makes of the layer.
func (g *giving) isTar(ctx context.Context, file string, diffID digest.Digest) (_ bool, err error) {
	rec, err := g.store.Layer(diffID)
	if err != nil {
		return false, err
	}
	dir, err := g.openDir(path.Dir(file))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return tarlayer.IsAlone(ctx, dir, tarlayer.Layer{DiffID: diffID, Size: rec.Size})
}

// probeFiles gives the engine a small layer and removes it, to learn what the engine
// does to the files of layers. If it marks them, files of the store are not linked.
func (g *giving) probeFiles(ctx context.Context) (err error) {
	if g.probed {
		return nil
	}
	name := "layerctl-probe-" + rand.Text()
	key := name + " prepared"
	answer, err := g.prepare(ctx, g.lease, &snapshots.PrepareSnapshotRequest{Snapshotter: g.at.Snapshotter, Key: key})
	if err != nil {
		return failure.Explain(err)
	}
	defer func() { err = errors.Join(err, g.forget(ctx, g.lease, key), g.forget(ctx, g.lease, name)) }()
	at, err := snapshotdir.Dir(answer.Mounts)
	if err != nil {
		return err
	}
	dir, err := g.openDir(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := snapshotdir.Probe(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := g.snapshots.Commit(g.in(ctx, g.lease), &snapshots.CommitSnapshotRequest{Snapshotter: g.at.Snapshotter, Name: name, Key: key}); err != nil {
		return failure.Explain(err)
	}
	if _, err := g.view(ctx, digest.Digest(name)); err != nil { // such as a missing dm-verity tree
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	g.probed = true
	marked, err := snapshotdir.Marked(f)
	if marked && !g.options.Unlinked {
		g.unlinked, g.copier = snapshotdir.ErrMarked, linkedcopy.New(linkedcopy.Options{Unlinked: true})
	}
	return err
}
