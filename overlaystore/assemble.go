// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/layer"
	"github.com/opencontainers/go-digest"
)

// maxLower is the kernel's limit for lower layers of one overlay
// (OVL_MAX_STACK in fs/overlayfs).
const maxLower = 500

// lowerLayer is one layer of an assembled stack.
type lowerLayer struct {
	diffID digest.Digest
	rel    string // of its fs directory under the store
	rec    LayerRecord
}

// lower assembles the layers of img, the topmost first: of a diffID that comes
// again only the topmost counts (the kernel refuses one directory twice, and
// what the lower one would add is there already), and nothing counts that lies
// below a layer with an opaque root (the kernel ignores that mark on a root).
func (s *Store) lower(img Image) ([]lowerLayer, error) {
	var stack []lowerLayer
	seen := map[digest.Digest]bool{}
	for i := len(img.Layers) - 1; i >= 0; i-- {
		diffID := img.Layers[i]
		if seen[diffID] {
			continue
		}
		seen[diffID] = true
		l, err := s.lowerLayer(diffID)
		if err != nil {
			return nil, err
		}
		stack = append(stack, l)
		if l.rec.RootOpaque {
			break
		}
	}
	return stack, nil
}

func (s *Store) lowerLayer(diffID digest.Digest) (lowerLayer, error) {
	dir, rel, err := s.openLayer(diffID)
	if errors.Is(err, ErrNotFound) {
		return lowerLayer{}, fmt.Errorf("%w: %w", err, errPullAgain)
	}
	if err != nil {
		return lowerLayer{}, err
	}
	rec, err := readRecord(dir)
	if err := errors.Join(err, dir.Close()); err != nil {
		return lowerLayer{}, fmt.Errorf("layer %s: %w", diffID, err)
	}
	return lowerLayer{diffID, rel + "/" + fsDir, rec}, nil
}

var errPullAgain = errors.New("pull the image again (layers that were pulled without sync do not outlive a boot)")

// Mount is an image's layers put together, ready to be mounted or to be
// printed as a line for a shell. It needs its store to be open.
type Mount struct {
	store       *Store
	manifest    digest.Digest
	source      string
	ref         string   // a reference to the image in this store, or its digest
	paths       []string // of the lower dirs under the store, the topmost first
	names       []string // the same as names in l/
	upper, work string   // absolute; "" mounts read-only
	pair        string   // the name in writable/ of upper and work, or ""
	chosen      chosen
	driver      Driver
	volatile    bool
	idmap       []IDMapping
}

// Assemble puts the layers of img together. An image of one layer gets an
// empty directory below it, for the kernel wants two, and so may one of several
// with whiteouts by attribute. The error is ErrNotFound
// when a layer or the fix layer is not in the store, an *OptionError for options
// that do not go, and else says what is wrong with the upper and work named.
func (s *Store) Assemble(ctx context.Context, img Image, o MountOptions) (*Mount, error) {
	m, err := s.assemble(ctx, img)
	if err != nil {
		return nil, fmt.Errorf("assemble image %s: %w", img.Manifest, err)
	}
	name := o.Name
	if name == "" && len(img.Refs) > 0 {
		name = img.Refs[0]
	}
	m.manifest, m.source, m.ref = img.Manifest, mounts.Source(name, img.Manifest), img.Manifest.String()
	if slices.Contains(img.Refs, name) {
		m.ref = name
	}
	err = m.configure(o)
	if err == nil {
		err = m.chooseDriver(ctx, o.Driver)
	}
	if err == nil && o.Writable {
		err = m.makeWritable(ctx, o)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("assemble image %s: %w", img.Manifest, err), m.Discard(ctx))
	}
	s.touch(img.Manifest)
	return m, nil
}

func (s *Store) assemble(ctx context.Context, img Image) (*Mount, error) {
	stack, err := s.lower(img)
	if err != nil {
		return nil, err
	}
	m := &Mount{store: s}
	if img.Fix != "" {
		rel, err := s.fixLayer(img.Fix)
		if err != nil {
			return nil, err
		}
		m.paths = append(m.paths, rel)
	}
	for _, l := range stack {
		m.paths = append(m.paths, l.rel)
	}
	if len(m.paths) == 0 {
		return nil, fmt.Errorf("%w: it has no layers", ErrUnsupported)
	}
	if m.names, err = s.links(ctx, m.paths); err != nil {
		return nil, err
	}
	if len(m.paths) == 1 || s.ghosts(stack) {
		m.paths = append(m.paths, linksDir+"/"+emptyLink)
		m.names = append(m.names, emptyLink)
	}
	if len(m.paths) > maxLower {
		return nil, fmt.Errorf("%w: it needs %d layers with those that are added to it, and the kernel mounts at most %d", ErrUnsupported, len(m.paths), maxLower)
	}
	return m, nil
}

// ghosts reports whether the lowest layer's whiteouts would be listed: those by
// attribute the kernel looks for in all layers but the lowest one
// (ovl_get_root in fs/overlayfs/super.c).
func (s *Store) ghosts(stack []lowerLayer) bool {
	return s.format.Whiteouts == layer.XattrMarks && len(stack) > 0 && len(stack[len(stack)-1].rec.WhiteoutParents) > 0
}
