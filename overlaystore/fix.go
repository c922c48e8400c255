// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fixlayer"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
)

const fixPrefix = "fix-" // of the name of a fix layer's lock, and of its directory in unsynced/

// ensureFix builds the fix layer of an image, or in a store of tars its index,
// unless that exists. It returns the chainID that names it, or "" where the image
// needs none.
func (s *Store) ensureFix(ctx context.Context, img Image, stack []stackLayer) (digest.Digest, error) {
	if len(img.Layers) == 0 {
		return "", nil
	}
	chain := manifest.ChainID(img.Layers)
	if has, err := s.hasFix(chain); err != nil || has {
		return chain, err
	}
	if s.tars() {
		return chain, s.makeFix(ctx, chain, func(g *Staging) error { return s.fillIndex(ctx, g, img.Layers, nil) })
	}
	p, err := s.planFix(img, stack)
	if err != nil {
		return "", fmt.Errorf("plan the fix layer: %w", err)
	}
	defer p.Close()
	if p.Empty() {
		return "", nil
	}
	// Whether a fix layer is needed is known only once all layers are unpacked.
	if len(stack) == maxLower {
		return "", fmt.Errorf("%w: the image has %d layers, all that the kernel mounts, and needs one more that mends what a layer cannot say alone (%s); rebuild it with one layer less",
			ErrUnsupported, len(stack), p.Reason())
	}
	if err := s.makeFix(ctx, chain, func(g *Staging) error { return s.fillFix(ctx, g, p) }); err != nil {
		return "", fmt.Errorf("make the fix layer: %w", err)
	}
	return chain, nil
}

// fixLayer returns the path under the store of a fix layer's lower dir.
func (s *Store) fixLayer(chain digest.Digest) (string, error) {
	dir, rel, err := s.openFix(chain)
	if err != nil {
		return "", err
	}
	return rel + "/" + storedirs.LowerDir, dir.Close()
}

// openFix opens a fix layer's directory. rel is its path under the store; opening
// it again by that path can fail, for it may be pruned meanwhile.
func (s *Store) openFix(chain digest.Digest) (dir *os.File, rel string, err error) {
	name, err := storedirs.Name(chain)
	if err != nil {
		return nil, "", err
	}
	for _, rel := range []string{storedirs.Fix + "/" + name, storedirs.Unsynced + "/" + s.boot + "/" + fixPrefix + name} {
		dir, err := durable.OpenDirAt(s.root, rel)
		if !errors.Is(err, fs.ErrNotExist) {
			return dir, rel, err
		}
	}
	return nil, "", fmt.Errorf("fix layer %s: %w: %w", chain, ErrNotFound, errPullAgain)
}

// makeFix stages a fix layer or an index, has fill build it, and commits it, unless
// another process does so first.
func (s *Store) makeFix(ctx context.Context, chain digest.Digest, fill func(*Staging) error) error {
	g, err := s.stage(ctx, chain, fixPrefix, takeLock, s.hasFix)
	if errors.Is(err, ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer g.Discard()
	if err := fill(g); err != nil {
		return err
	}
	return s.commit(ctx, []*Staging{g})
}

// hasFix is [Store.HasLayer] for a fix layer.
func (s *Store) hasFix(chain digest.Digest) (bool, error) {
	rel, err := s.fixLayer(chain)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && (s.noSync || strings.HasPrefix(rel, storedirs.Fix+"/")), err
}

// fixTarget is a staging in which a fix layer is built.
type fixTarget struct{ *Staging }

// Room checks that the fix layer leaves the reserve of free space.
func (t fixTarget) Room(bytes uint64) error {
	return t.store.Room(bytes+t.store.reserve, 1)
}

func (s *Store) fillFix(ctx context.Context, g *Staging, p *fixlayer.Plan) error {
	if err := durable.Fault(ctx, "fill fix layer"); err != nil {
		return err
	}
	built, err := p.Build(fixTarget{g})
	if err != nil {
		return err
	}
	return g.Seal(ctx, LayerRecord{Counts: layer.Counts{
		Regular: built.Copies, Hardlinks: built.Links, Whiteouts: built.Whiteouts, Directories: built.Directories,
	}})
}

func (s *Store) planFix(img Image, stack []stackLayer) (*fixlayer.Plan, error) {
	var layers []fixlayer.Layer
	for _, l := range stack {
		one, err := s.openForFix(l)
		if err != nil {
			for _, l := range layers {
				err = errors.Join(err, l.Dir.Close(), l.FS.Close())
			}
			return nil, err
		}
		layers = append(layers, one)
	}
	plan, err := fixlayer.New(layers, img.Layers, s.format.Form)
	if err == nil && len(plan.Replaced()) > 0 {
		s.log.Info("directories without an entry take the place of a lower layer's link or file",
			"image", img.Manifest, "count", len(plan.Replaced()), "example", plan.Replaced()[0])
	}
	return plan, err
}

func (s *Store) openForFix(l stackLayer) (fixlayer.Layer, error) {
	dir, err := durable.OpenDirAt(s.root, path.Dir(l.rel))
	if err != nil {
		return fixlayer.Layer{}, err
	}
	rec, err := ReadRecord(dir)
	if err != nil {
		return fixlayer.Layer{}, errors.Join(fmt.Errorf("layer %s: %w", l.diffID, err), dir.Close())
	}
	fs, err := durable.OpenDirAt(dir, storedirs.LowerDir)
	if err != nil {
		return fixlayer.Layer{}, errors.Join(err, dir.Close())
	}
	return fixlayer.Layer{DiffID: l.diffID, Dir: dir, FS: fs, Facts: rec.Facts}, nil
}
