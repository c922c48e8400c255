// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
)

// uses is what engines have that stands on this store.
type uses struct {
	parents map[string]bool // layers of this store that a layer elsewhere is on
	images  map[string]bool // ids of images that a container is of
}

// useLists are the lists of a graph root, and what in them names this store's.
// The volatile ones are of containers that do not outlive a boot.
var useLists = []string{
	"overlay-layers/layers.json", "overlay-layers/volatile-layers.json",
	"overlay-containers/containers.json", "overlay-containers/volatile-containers.json",
}

// uses reads the lists of all graph roots, which engines replace whole, and
// looks at what is mounted.
func (s *Store) uses(ctx context.Context, r *records) (*uses, error) {
	u := &uses{map[string]bool{}, map[string]bool{}}
	for _, root := range s.options.GraphRoots {
		for _, list := range useLists {
			if err := u.read(filepath.Join(root, list), r); err != nil {
				return nil, fmt.Errorf("look for containers: %w", err)
			}
		}
	}
	if err := u.mounted(ctx, r); err != nil {
		return nil, fmt.Errorf("look for mounts: %w", err)
	}
	return u, nil
}

// mounted adds what containers run on whose graph root nobody has told of.
// Engines mount layers by their links, or by their directories.
func (u *uses) mounted(ctx context.Context, r *records) error {
	links := map[string]string{}
	for _, l := range r.layers {
		links[linkName(l.ID)] = l.ID
	}
	return mounts.Each(ctx, func(_ string, e mounts.Entry) {
		for _, lower := range e.Lower() {
			dir, name := filepath.Split(lower)
			if id := links[name]; id != "" {
				u.parents[id] = true
			}
			if id := filepath.Base(dir); name == "diff" && r.layer(id) != nil {
				u.parents[id] = true
			}
		}
	})
}

func (u *uses) read(path string, r *records) error {
	raw, err := fsat.ReadNamed(path, maxRecords)
	// Whoever may not read a graph root cannot run anything from it either.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || err == nil && len(raw) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var list []struct {
		Parent string `json:"parent"` // of a layer
		Image  string `json:"image"`  // of a container
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for _, e := range list {
		if r.layer(e.Parent) != nil {
			u.parents[e.Parent] = true
		}
		if e.Image != "" {
			u.images[e.Image] = true
		}
	}
	return nil
}

// image says whether a container is of the image, or anything is on its topmost
// layer.
func (u *uses) image(i *imageRecord) bool { return u.images[i.ID] || u.parents[i.Layer] }

func (u *uses) layers() (ids []string) {
	for id := range u.parents {
		ids = append(ids, id)
	}
	return ids
}
