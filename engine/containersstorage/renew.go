// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/overlaystore"
)

// heldPrefix begins the names, in staging, of lower dirs that were replaced: what
// is mounted goes on with them. The layer's id follows.
const heldPrefix = "held-"

// Renew makes layers anew that from has repaired: those of the diffIDs, and the
// fix layers of the chainIDs, of any image of from. Containers that are started
// from now on have the repaired files; those that run go on with the old ones,
// which are removed once nothing is mounted of the layer. It returns how many
// layers were made.
func (s *Store) Renew(ctx context.Context, from *overlaystore.Store, layers, fixes []digest.Digest) (renewed int, err error) {
	images, err := from.Images()
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(r *records) error {
		g := &giving{Store: s, from: from, records: r, copier: linkedcopy.New(linkedcopy.Options{Form: from.Format().Form}), open: map[string]*os.File{}}
		defer g.close()
		var stale []planned
		for _, l := range r.layers {
			lower, err := staleLower(l, images, layers, fixes)
			if err != nil {
				return err
			}
			if lower != "" {
				stale = append(stale, planned{record: l, from: lower, below: r.below(l)})
			}
		}
		if len(stale) == 0 {
			return nil
		}
		renewed = len(stale)
		return g.renew(ctx, stale)
	})
	if err != nil {
		return 0, fmt.Errorf("renew layers in containers-storage at %s: %w", s.path, err)
	}
	return renewed, nil
}

// staleLower is the lower dir that a layer is to be made of anew, "" where it
// need not be.
func staleLower(l *layerRecord, images []overlaystore.Image, layers, fixes []digest.Digest) (string, error) {
	if slices.Contains(layers, l.Digest) {
		return lowerOf(storedirs.Layers, l.Digest)
	}
	for _, img := range images {
		if img.Fix == "" || !slices.Contains(fixes, img.Fix) {
			continue
		}
		if ids := layerIDs(img.Layers); l.ID == fixID(ids[len(ids)-1]) {
			return lowerOf(storedirs.Fix, img.Fix)
		}
	}
	return "", nil
}

// below are the ids of the layers beneath one, the topmost first.
func (r *records) below(l *layerRecord) (ids []string) {
	for l = r.layer(l.Parent); l != nil && !slices.Contains(ids, l.ID); l = r.layer(l.Parent) {
		ids = append(ids, l.ID)
	}
	return ids
}

// renew fills each layer anew, writes all back, and swaps the old for the new.
func (g *giving) renew(ctx context.Context, stale []planned) (err error) {
	if g.staging, err = durable.OpenDirAt(g.root, stagingDir); err != nil {
		return err
	}
	held := make([]string, len(stale))
	for i, l := range stale {
		held[i] = heldPrefix + l.record.ID + "-" + rand.Text()
		if err := g.refill(ctx, l, held[i]); err != nil {
			return fmt.Errorf("layer %s: %w", l.record.ID, err)
		}
	}
	if err := durable.SyncFS(ctx, g.staging); err != nil {
		return err
	}
	for i, l := range stale {
		if err := g.swap(ctx, l.record.ID, held[i]); err != nil {
			return err
		}
	}
	return errors.Join(durable.SyncDir(ctx, g.staging), g.releaseHeld(ctx, g.records))
}

func (g *giving) refill(ctx context.Context, l planned, name string) error {
	if err := durable.Mkdir(ctx, g.staging, name, 0o755); err != nil {
		return err
	}
	to, err := durable.OpenDirAt(g.staging, name)
	if err != nil {
		return err
	}
	return errors.Join(g.fill(ctx, l, to), to.Close())
}

func (g *giving) swap(ctx context.Context, id, name string) error {
	dir, err := durable.OpenDirAt(g.root, overlayDir+"/"+id)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := durable.Exchange(ctx, g.staging, name, dir, "diff"); err != nil {
		return err
	}
	return durable.SyncDir(ctx, dir)
}

// releaseHeld removes the lower dirs that were replaced and that nothing is
// mounted of.
func (s *Store) releaseHeld(ctx context.Context, r *records) error {
	staging, err := durable.OpenDirAt(s.root, stagingDir)
	if err != nil {
		return err
	}
	defer staging.Close()
	names, err := fsat.Names(staging)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, heldPrefix) })
	if len(names) == 0 {
		return nil
	}
	u := &uses{map[string]bool{}, map[string]bool{}}
	if err := u.mounted(ctx, r); err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		id, _, _ := strings.Cut(strings.TrimPrefix(name, heldPrefix), "-")
		return u.parents[id]
	})
	return removeEach(staging, names)
}
