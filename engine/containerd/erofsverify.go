// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/snapshotdir"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/overlaystore"
)

// verifyFiles is verify for the snapshotter erofs. Where the file of a layer is lost the
// engine does not tell where those above it are: these are checked once it is back.
func (g *giving) verifyFiles(ctx context.Context, r given.Record, chains []digest.Digest, o overlaystore.VerifyOptions) (report Report, err error) {
	if len(r.Sizes) != len(r.Layers) {
		return report, fmt.Errorf("%w: the record has %d sizes of %d layers", errNoJournal, len(r.Sizes), len(r.Layers))
	}
	if g.owner, err = g.store.RealPath(); err != nil {
		return report, err
	}
	files, lost, err := g.remaining(ctx, chains)
	if err != nil {
		return report, err
	}
	for i, diffID := range r.Layers {
		c, checked := layercheck.New(layercheck.Options{}), true
		if i >= len(files) {
			c.Differ("", "missing", "", "")
		} else {
			checked, err = g.verifyFile(ctx, c, files[len(files)-1-i], tarlayer.Layer{DiffID: diffID, Size: r.Sizes[i]}, chains[i], o.Quick)
		}
		if err == nil && checked && i == len(files)-1 && i == len(r.Layers)-1 && r.Merged != "" {
			err = g.verifyMerged(ctx, c, files[0], r.Merged, o.Quick)
		}
		if err != nil {
			return report, fmt.Errorf("layer %s: %w", diffID, err)
		}
		if !checked {
			report.Unchecked = append(report.Unchecked, diffID)
			continue
		}
		addTo(&report, diffID, c.Result())
		if lost != "" && i == len(files) {
			break
		}
	}
	return report, nil
}

// addTo adds what was found in a layer to a report.
func addTo(report *Report, diffID digest.Digest, found layercheck.Result) {
	report.Layers++
	report.Files += found.Files
	report.Bytes += found.Bytes
	for _, d := range found.Differences {
		report.Differences = append(report.Differences, overlaystore.Difference{Layer: diffID, Path: d.Path, Field: d.Field, Got: d.Got, Want: d.Want})
	}
}

// verifyFile compares the file of a layer with the layer's diffID, unless it is a
// hard link to the store's. checked is false for a layer that the engine has unpacked
// itself.
func (g *giving) verifyFile(ctx context.Context, c *layercheck.Check, file string, l tarlayer.Layer, chain digest.Digest, quick bool) (checked bool, err error) {
	if given, err := g.isGiven(ctx, chain); err != nil || !given {
		return false, err
	}
	dir, err := g.openDir(path.Dir(file))
	if err != nil {
		return true, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	same, err := snapshotdir.IsLink(dir, g.store.Dir(), storedirs.Layers+"/"+l.DiffID.Encoded())
	if err == nil && (same || quick) {
		return true, nil
	}
	return true, tarlayer.CheckAlone(ctx, c, dir, l) // also where the file is missing
}

// verifyMerged compares the index beside the topmost layer's file.
func (g *giving) verifyMerged(ctx context.Context, c *layercheck.Check, file string, want digest.Digest, quick bool) error {
	dir, err := g.openDir(path.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return tarlayer.CheckIndex(ctx, c, dir, snapshotdir.Merged, want, quick)
}

// renewFiles replaces the files of the layers that are lost or stale by the store's, and
// with the topmost layer's also the index.
func (g *giving) renewFiles(ctx context.Context, chains, stale []digest.Digest) (int, error) {
	done := map[int]bool{}
	for {
		files, at, err := g.remaining(ctx, chains)
		if err != nil {
			return len(done), err
		}
		i := len(files)
		if at == "" {
			for i = 0; i < len(files) && (done[i] || !slices.Contains(stale, g.image.Layers[i])); i++ {
			}
			if i == len(files) {
				return len(done), nil
			}
			at = files[len(files)-1-i]
		}
		if done[i] {
			return len(done), fmt.Errorf("%w: it does not find %s, which is there", ErrUnsupported, at)
		}
		if err := g.renewLayer(ctx, chains, i, path.Dir(at)); err != nil {
			return len(done), fmt.Errorf("layer %s: %w", g.image.Layers[i], err)
		}
		done[i] = true
	}
}

func (g *giving) renewLayer(ctx context.Context, chains []digest.Digest, i int, at string) error {
	err := g.renewFile(ctx, at, snapshotdir.Layer, func(to *os.File) error { return g.placeFile(ctx, to, i) })
	if err == nil && i == len(g.image.Layers)-1 {
		err = g.renewMerged(ctx, chains, true)
	}
	return err
}

func (g *giving) renewFile(ctx context.Context, at, name string, place func(to *os.File) error) error {
	dir, err := g.openDir(at)
	if err != nil {
		return err
	}
	err = snapshotdir.Replace(ctx, dir, name, replacedPrefix, place)
	if errors.Is(err, snapshotdir.ErrMarked) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return errors.Join(err, dir.Close())
}
