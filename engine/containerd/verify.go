// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/snapshotdir"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// Has says whether the engine lists an image that it was given: whether any of
// the names still stands for it, and its topmost layer is there.
func (e *Engine) Has(ctx context.Context, names []string, root digest.Digest, layers []digest.Digest) (bool, error) {
	for _, name := range names {
		there, err := e.standing(ctx, name)
		if err != nil {
			return false, err
		}
		if there == nil || there.Target.GetDigest() != root.String() {
			continue
		}
		g := &giving{Engine: e}
		have, err := g.has(ctx, chainIDs(layers))
		return err == nil && have == len(layers), err
	}
	return false, nil
}

// Report is what [Engine.Verify] found.
type Report struct {
	overlaystore.Report // without those
	// Unchecked are layers that the engine had before the image was handed over to
	// it: nobody has fetched them, and the store has no journal of them. They are
	// there, which is all that is known of them.
	Unchecked []digest.Digest
}

// Verify compares the layers of an image that the engine has with the journals
// of the store, those that it has kept of what was handed over as well: the files
// that containers run from. A file that is one with the store's is not read: a
// verification of the store did so. Differences are in the report and no error.
//
// Directories must be there; their attributes are not compared, and neither are
// whiteouts.
func (e *Engine) Verify(ctx context.Context, store *overlaystore.Store, r given.Record, o overlaystore.VerifyOptions) (Report, error) {
	report, err := e.verify(ctx, store, r, o)
	if err != nil {
		return report, fmt.Errorf("verify what %s has of %s: %w", e.at.Address, r.Manifest, err)
	}
	return report, nil
}

func (e *Engine) verify(ctx context.Context, store *overlaystore.Store, r given.Record, o overlaystore.VerifyOptions) (report Report, err error) {
	g := &giving{Engine: e, store: store, from: store, image: Image{Image: overlaystore.Image{Layers: r.Layers}}}
	chains := chainIDs(r.Layers)
	have, err := g.has(ctx, chains)
	if err != nil {
		return report, err
	}
	if e.erofs() {
		return g.verifyFiles(ctx, r, chains[:have], o)
	}
	dirs, err := g.directories(ctx, chains[:have])
	defer func() { err = errors.Join(err, closeAll(dirs)) }()
	if err != nil {
		return report, err
	}
	if len(dirs) != have {
		return report, fmt.Errorf("%w: %d layers are %d directories there", ErrUnsupported, have, len(dirs))
	}
	for i, diffID := range r.Layers {
		var found layercheck.Result
		if i < have {
			found, err = g.verifyLayer(ctx, i, dirs[have-1-i], o)
		} else {
			found.Differences = []layercheck.Difference{{Field: "missing"}}
		}
		if r.HandedOver && errors.Is(err, errNoJournal) {
			report.Unchecked = append(report.Unchecked, diffID)
			continue
		}
		addTo(&report, diffID, found)
		if err != nil {
			return report, fmt.Errorf("layer %s: %w", diffID, err)
		}
	}
	return report, snapshotdir.Tidy(ctx, dirs, replacedPrefix)
}

// verifyLayer compares the directory of layer i with its journal.
func (g *giving) verifyLayer(ctx context.Context, i int, dir *os.File, o overlaystore.VerifyOptions) (layercheck.Result, error) {
	options := layercheck.Options{Form: g.store.Format().Form, Quick: o.Quick, Jobs: o.Jobs, Copied: true}
	journal, known, err := g.openLayer(ctx, i)
	if err != nil {
		return layercheck.Result{}, err
	}
	defer journal.Close()
	if known != nil {
		defer known.Close()
		options.Known = known
	}
	c := layercheck.New(options)
	err = c.Run(ctx, journal, dir)
	return c.Result(), err
}

// openLayer opens the directory with the journal of layer i, and the lower dir
// where the store has it.
func (g *giving) openLayer(ctx context.Context, i int) (journal, known *os.File, err error) {
	if g.store.Format().Lower == layer.Tars {
		journal, err = durable.OpenDirAt(g.store.Dir(), storedirs.Layers+"/"+g.image.Layers[i].Encoded())
		if !errors.Is(err, fs.ErrNotExist) {
			return journal, nil, err
		}
	}
	at, err := g.lowerPath(ctx, i)
	if errors.Is(err, overlaystore.ErrNotFound) || g.store.Format().Lower == layer.Tars {
		journal, err = given.OpenJournal(g.store.Dir(), g.image.Layers[i])
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.Join(overlaystore.ErrNotFound, errNoJournal)
		}
		return journal, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	if journal, err = durable.OpenDirAt(g.store.Dir(), path.Dir(at)); err != nil {
		return nil, nil, err
	}
	if known, err = durable.OpenDirAt(g.store.Dir(), at); err != nil {
		return nil, nil, errors.Join(err, journal.Close())
	}
	return journal, known, nil
}

var errNoJournal = errors.New("the store has no journal of it")

// Layers that were replaced, and such as were to replace them, lie beside the
// directory of their snapshot, which the engine removes whole.
const replacedPrefix = "layerctl-"
