// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// Image is an image to give.
type Image struct {
	// Image is the store's record of it.
	Image overlaystore.Image
	// Names are references in a registry, which the image then has instead of
	// any other that had them. Without names engines know it by its id alone.
	Names []string
	// Manifest and Config are the exact bytes of both.
	Manifest, Config []byte
	// Index are those of the index that the manifest was chosen from, so that
	// the image is found by that digest too; nil where there was none.
	Index []byte
}

// Given says what came of it.
type Given struct {
	ID     string // the image's, as the engine shows it
	Layers int    // that were made, the fix layer among them; 0 where all were there
	// Links are files that are one with the store's, Clones those that share
	// their blocks, Copies those that share nothing, of Bytes in all.
	Links, Clones, Copies, Bytes int64
	// Reason is why the first file was not linked, nil where all were.
	Reason error
}

// Give makes the image one that engines have: durable, with its names, and with
// those layers made that are not there. To give it again does nothing but set
// the names. The error is [overlaystore.ErrUnsupported] for a store of a form that engines
// cannot run from, overlaystore.ErrNotFound where the store lacks a layer, and
// [errkind.Mismatch] for documents that are not the image's.
func (s *Store) Give(ctx context.Context, from *overlaystore.Store, img Image) (_ Given, err error) {
	given, err := s.give(ctx, from, img)
	if err != nil {
		return Given{}, fmt.Errorf("give %s to containers-storage at %s: %w", named(img), s.path, err)
	}
	return given, nil
}

func named(img Image) string {
	if len(img.Names) > 0 {
		return img.Names[0]
	}
	return img.Image.Manifest.String()
}

func (s *Store) give(ctx context.Context, from *overlaystore.Store, img Image) (given Given, err error) {
	if err := fits(from.Format().Form); err != nil {
		return Given{}, err
	}
	layers, rec, err := describeImage(img)
	if err != nil {
		return Given{}, err
	}
	lease, err := from.Lease(ctx, "give "+named(img)+" to containers-storage", img.Image.Layers...)
	if err != nil {
		return Given{}, err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	plan, err := planLayers(from, img.Image, layers)
	if err != nil {
		return Given{}, err
	}
	if len(plan) > 0 {
		rec.Layer = plan[len(plan)-1].record.ID
	}
	given.ID = rec.ID
	err = s.change(ctx, func(r *records) error {
		g := &giving{Store: s, from: from, records: r, copier: linkedcopy.New(linkedcopy.Options{Form: from.Format().Form})}
		defer g.close()
		err := g.layers(ctx, plan)
		if err == nil {
			err = g.publish(ctx, rec, img)
		}
		done := g.copier.Done()
		given.Layers = len(g.made)
		given.Links, given.Clones, given.Copies, given.Bytes, given.Reason = done.Links, done.Clones, done.Copies, done.Bytes, done.Reason
		return err
	})
	return given, err
}

// fits refuses a store whose layers engines would misread.
func fits(form layer.Form) error {
	switch form = form.OrDefaults(); {
	case form.Whiteouts != layer.CharDevices:
		return fmt.Errorf("%w: the store marks deleted names by attributes, which engines do not know when they build on an image", overlaystore.ErrUnsupported)
	case form.IDs == layer.SquashedIDs:
		return fmt.Errorf("%w: the store keeps no owners; give the user subordinate ids, as podman itself needs them, and pull into a new store", overlaystore.ErrUnsupported)
	}
	return nil
}

// describeImage checks the documents against the image's record.
func describeImage(img Image) ([]manifest.Layer, *imageRecord, error) {
	for what, d := range map[string]struct {
		raw  []byte
		want digest.Digest
	}{"manifest": {img.Manifest, img.Image.Manifest}, "config": {img.Config, img.Image.Config}} {
		if got := digest.FromBytes(d.raw); got != d.want {
			return nil, nil, errkind.With(errkind.Mismatch, fmt.Errorf("the %s is %s, and the image's is %s", what, got, d.want))
		}
	}
	m, err := manifest.ParseImage(img.Manifest, "")
	if err != nil {
		return nil, nil, err
	}
	config, err := manifest.ParseConfig(img.Config)
	if err != nil {
		return nil, nil, err
	}
	layers, err := manifest.PairLayers(m, config)
	if err != nil {
		return nil, nil, err
	}
	if !slices.Equal(config.DiffIDs, img.Image.Layers) {
		return nil, nil, errkind.With(errkind.Mismatch, errors.New("the config names other layers than the store's record of the image"))
	}
	rec, err := newImageRecord(img)
	if err == nil && config.Created != nil {
		rec.Created = *config.Created
	}
	return layers, rec, err
}

// checkNames refuses what is no reference in a registry.
func checkNames(names []string) error {
	for _, name := range names {
		ref, err := registry.Parse(name)
		if err != nil {
			return err
		}
		if ref.Transport() != registry.Docker || ref.String() != name {
			return errkind.With(errkind.Usage, fmt.Errorf("%.200q is no full reference in a registry", name))
		}
	}
	return nil
}

// giving is an image on its way.
type giving struct {
	*Store
	from    *overlaystore.Store
	records *records
	copier  *linkedcopy.Copier
	staging *os.File
	made    []*layerRecord // in staging, by their ids
	open    map[string]*os.File
}

func (g *giving) close() {
	for _, f := range g.open {
		f.Close()
	}
	if g.staging != nil {
		g.staging.Close()
	}
}

// layers makes those that are not there, in staging, and writes them back.
func (g *giving) layers(ctx context.Context, plan []planned) error {
	var err error
	// Before the first byte is written: the sync tells of errors since then.
	if g.staging, err = durable.OpenDirAt(g.root, stagingDir); err != nil {
		return err
	}
	g.open = map[string]*os.File{}
	for _, l := range plan {
		if g.records.layer(l.record.ID) != nil {
			continue
		}
		if err := l.describe(ctx, g.from); err != nil {
			return err
		}
		if err := g.layer(ctx, l); err != nil {
			return fmt.Errorf("layer %s: %w", l.record.ID, err)
		}
		g.made = append(g.made, l.record)
	}
	if len(g.made) == 0 {
		return nil
	}
	return durable.SyncFS(ctx, g.staging)
}

func (g *giving) layer(ctx context.Context, l planned) (err error) {
	if err := durable.Mkdir(ctx, g.staging, l.record.ID, 0o700); err != nil {
		return err
	}
	dir, err := durable.OpenDirAt(g.staging, l.record.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	for name, content := range layerFiles(l) {
		if err := writeNew(dir, name, content); err != nil {
			return err
		}
	}
	if err := durable.Mkdir(ctx, dir, "diff", 0o755); err != nil {
		return err
	}
	to, err := durable.OpenDirAt(dir, "diff")
	if err != nil {
		return err
	}
	g.open[l.record.ID] = to
	return g.fill(ctx, l, to)
}

// fill makes an empty directory the lower directory of a layer.
func (g *giving) fill(ctx context.Context, l planned, to *os.File) error {
	from, err := fsat.OpenDir(g.from.Dir(), l.from)
	if err != nil {
		return err
	}
	defer from.Close()
	below, err := g.below(l.below)
	if err != nil {
		return err
	}
	return g.copier.Fill(ctx, to, linkedcopy.Layer{From: from, Below: below})
}

// layerFiles are the files beside a layer's lower dir.
func layerFiles(l planned) map[string]string {
	files := map[string]string{"link": linkName(l.record.ID)}
	if len(l.below) > 0 {
		lower := make([]string, len(l.below))
		for i, id := range l.below {
			lower[i] = linksDir + "/" + linkName(id)
		}
		files["lower"], files["lower-layers"] = strings.Join(lower, ":"), strings.Join(l.below, ":")
	}
	return files
}

// writeNew makes a file that the sync of all writes back.
func writeNew(dir *os.File, name, content string) error {
	f, err := fsat.Create(dir, name, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// below opens the lower dirs of layers, made now or before.
func (g *giving) below(ids []string) ([]*os.File, error) {
	var dirs []*os.File
	for _, id := range ids {
		if g.open[id] == nil {
			dir, err := fsat.OpenDir(g.root, filepath.Join(overlayDir, id, "diff"))
			if err != nil {
				return nil, err
			}
			g.open[id] = dir
		}
		dirs = append(dirs, g.open[id])
	}
	return dirs, nil
}
