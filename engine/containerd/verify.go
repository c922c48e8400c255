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

// Name is a name that an image was given in an engine, and the index or manifest that
// it meant then.
type Name struct {
	Name string
	Root digest.Digest
}

// Has reports whether the engine still has an image that it was given: whether one
// of the names still means what it did, and its topmost layer exists.
func (e *Engine) Has(ctx context.Context, names []Name, layers []digest.Digest) (bool, error) {
	for _, n := range names {
		there, err := e.images.Get(ctx, n.Name)
		if err != nil {
			return false, err
		}
		if there == nil || there.Target.GetDigest() != n.Root.String() {
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
	overlaystore.Report // without the unchecked layers
	// Unchecked are layers that exist, but cannot be compared: the engine had them
	// before the image was handed over, so they were not fetched and the store has no
	// journal of them.
	Unchecked []digest.Digest
}

// Verify compares an image's layers in the engine, from which containers run, with
// the journals of the store, or with those that it has kept of an image that was
// handed over. A file that is a hard link to the store's is not read, for
// [overlaystore.Store.Verify] reads it. Differences are in the report and no error.
//
// Directories must exist; their attributes are not compared, nor are whiteouts.
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
	records, err := given.TryOpen(ctx, store.Dir())
	if err != nil || records == nil {
		return report, err // who has them locked may be making layers anew
	}
	return report, errors.Join(snapshotdir.Tidy(ctx, dirs, replacedPrefix), records.Close())
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

// openLayer opens the directory with the journal of layer i, and the store's lower
// directory of it, nil where there is none.
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

// replacedPrefix begins the names of directories that were replaced, or were to
// replace others. They lie beside the layer's directory in that of the snapshot, which
// the engine removes with all that is in it.
const replacedPrefix = "layerctl-"
