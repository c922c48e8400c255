// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/mountuse"
)

// Mounted is a mount of an image of a store.
type Mounted = mountuse.Mounted

// Mounts lists the mounts of this store's images in every mount namespace that the
// caller may look into, also those that other programs made from a mount line.
func (s *Store) Mounts(ctx context.Context) ([]Mounted, error) {
	var list []Mounted
	ix, _, err := s.mountIndex()
	if err == nil {
		err = mounts.Each(ctx, func(proc string, e mounts.Entry) {
			if u := ix.Use(ctx, proc, e); u.Ours {
				list = append(list, ix.Describe(e, proc, u))
			}
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return list, nil
}

// MountedAt returns the topmost mount at target, in the caller's mount namespace. ours is
// false if nothing is mounted there, or nothing of this store's images.
func (s *Store) MountedAt(ctx context.Context, target string) (m Mounted, ours bool, err error) {
	target, err = filepath.Abs(target)
	if err != nil {
		return Mounted{}, false, err
	}
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	e, ok, err := mounts.At(ctx, target)
	if err != nil || !ok {
		return Mounted{}, false, err
	}
	ix, _, err := s.mountIndex()
	if err == nil {
		if u := ix.Use(ctx, "self", e); u.Ours {
			return ix.Describe(e, "self", u), true, nil
		}
	}
	return Mounted{}, false, err
}

// mountIndex reads what is needed to recognise mounts of the store's images.
func (s *Store) mountIndex() (*mountuse.Index, []Image, error) {
	byTarget, _, err := s.links().Read()
	if err != nil {
		return nil, nil, err
	}
	// Mountinfo has the path without symbolic links.
	path, err := s.RealPath()
	if err != nil {
		return nil, nil, err
	}
	ix := &mountuse.Index{Path: path, Logger: s.log, Links: map[string]string{}, Chains: map[string]digest.Digest{}}
	for target, name := range byTarget {
		ix.Links[name] = strings.TrimPrefix(target, "../")
	}
	images, err := s.Images()
	ix.Whole = err == nil
	for _, img := range images {
		ix.Manifests = append(ix.Manifests, img.Manifest)
		if s.tars() && img.Fix != "" {
			ix.Chains[img.Fix.Encoded()] = img.Manifest
		}
	}
	if errors.Is(err, ErrDamaged) {
		err = nil // a record that cannot be read recognises no mount
	}
	return ix, images, err
}
