// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/shortlink"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// maxLower is the kernel's limit for lower layers of one overlay
// (OVL_MAX_STACK in fs/overlayfs).
const maxLower = 500

// LowerDir is one of the directories that a mount of an image is made of.
type LowerDir struct {
	Path string // under the store
	Link string // the name of a short link to it in the directory [Store.LinkDir]
}

// LowerDirs returns the lower dirs of an overlay that shows img, the topmost first,
// and makes their short links. An empty directory is added at the bottom for an
// image of one layer, because the kernel wants two lower dirs, and where the lowest
// layer has whiteouts by attribute, which the kernel would show. The error is
// ErrNotFound where a layer or the fix layer is not in the store.
func (s *Store) LowerDirs(ctx context.Context, img Image) ([]LowerDir, error) {
	if s.tars() && len(img.Layers) > 0 {
		return nil, fmt.Errorf("%w: the store keeps layers as tars, which are no lower dirs", ErrUnsupported)
	}
	stack, err := s.stack(img)
	if err != nil {
		return nil, err
	}
	var paths []string
	if img.Fix != "" {
		rel, err := s.fixLayer(img.Fix)
		if err != nil {
			return nil, err
		}
		paths = append(paths, rel)
	}
	for _, l := range stack {
		paths = append(paths, l.rel)
	}
	if len(paths) == 0 {
		return s.emptyDirs(ctx)
	}
	names, err := s.links().Names(ctx, paths)
	if err != nil {
		return nil, err
	}
	if len(paths) == 1 || s.showsWhiteouts(stack) {
		paths, names = append(paths, storedirs.Links+"/"+storedirs.EmptyLink), append(names, storedirs.EmptyLink)
	}
	if len(paths) > maxLower {
		return nil, fmt.Errorf("%w: it needs %d layers with those that are added to it, and the kernel mounts at most %d", ErrUnsupported, len(paths), maxLower)
	}
	dirs := make([]LowerDir, len(paths))
	for i := range dirs {
		dirs[i] = LowerDir{paths[i], names[i]}
	}
	return dirs, nil
}

func (s *Store) links() shortlink.Dir {
	return shortlink.Dir{Links: s.dirs[storedirs.Links], Locks: s.dirs[storedirs.Locks]}
}

// emptyDirs returns the two lower dirs of an image without layers: the kernel wants
// two, and refuses the same directory twice.
func (s *Store) emptyDirs(ctx context.Context) ([]LowerDir, error) {
	err := durable.Mkdir(ctx, s.root, storedirs.Empty, 0o755)
	if err == nil {
		err = durable.SyncDir(ctx, s.root)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return []LowerDir{{storedirs.Empty, "../" + storedirs.Empty}, {storedirs.Links + "/" + storedirs.EmptyLink, storedirs.EmptyLink}}, nil
}

// stackLayer is one layer in the stack of an image.
type stackLayer struct {
	diffID digest.Digest
	rel    string // of its fs directory under the store
	stackFacts
}

// stackFacts are the part of a layer's record that says how it is stacked. They are
// small, and never change for a diffID.
type stackFacts struct{ rootOpaque, hasWhiteouts bool }

// stack returns the layers of img to mount, the topmost first. A diffID that is
// repeated is mounted once, where it is topmost: the kernel refuses the same
// directory twice, and the lower one would show nothing more. The stack ends with
// a layer whose root is opaque, for the kernel ignores that mark on a root.
func (s *Store) stack(img Image) ([]stackLayer, error) {
	var stack []stackLayer
	seen := map[digest.Digest]bool{}
	for i := len(img.Layers) - 1; i >= 0; i-- {
		diffID := img.Layers[i]
		if seen[diffID] {
			continue
		}
		seen[diffID] = true
		l, err := s.stackLayer(diffID)
		if err != nil {
			return nil, err
		}
		stack = append(stack, l)
		if l.rootOpaque {
			break
		}
	}
	return stack, nil
}

func (s *Store) stackLayer(diffID digest.Digest) (stackLayer, error) {
	dir, rel, err := s.openLayer(diffID)
	if errors.Is(err, ErrNotFound) {
		return stackLayer{}, fmt.Errorf("%w: %w", err, errPullAgain)
	}
	if err != nil {
		return stackLayer{}, err
	}
	facts, err := s.readStackFacts(diffID, dir)
	if err := errors.Join(err, dir.Close()); err != nil {
		return stackLayer{}, fmt.Errorf("layer %s: %w", diffID, err)
	}
	return stackLayer{diffID, rel + "/" + storedirs.LowerDir, facts}, nil
}

var errPullAgain = errors.New("pull the image again (layers that were pulled without sync do not outlive a boot)")

// readStackFacts reads the facts from a layer's record, which can be large, once.
func (s *Store) readStackFacts(diffID digest.Digest, dir *os.File) (stackFacts, error) {
	if facts, ok := s.facts.Load(diffID); ok {
		return facts.(stackFacts), nil
	}
	rec, err := ReadRecord(dir)
	if err != nil {
		return stackFacts{}, err
	}
	return s.keepStackFacts(diffID, &rec), nil
}

func (s *Store) keepStackFacts(diffID digest.Digest, rec *LayerRecord) stackFacts {
	facts := stackFacts{rec.RootOpaque, len(rec.WhiteoutParents) > 0}
	s.facts.Store(diffID, facts)
	return facts
}

// showsWhiteouts reports whether a mount would list the whiteouts of the lowest
// layer: the kernel looks for whiteouts by attribute in all layers but the lowest
// (ovl_get_root in fs/overlayfs/super.c).
func (s *Store) showsWhiteouts(stack []stackLayer) bool {
	return s.format.Whiteouts == layer.XattrMarks && len(stack) > 0 && stack[len(stack)-1].hasWhiteouts
}
