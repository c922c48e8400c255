// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/mountuse"
)

// Mounted is a live mount of an image of a store.
type Mounted struct {
	Target   string
	Source   string
	Type     string        // of the filesystem, as mountinfo shows it
	Manifest digest.Digest // of the image, "" when the store does not know it
	PID      string        // a process that sees it, "self" for the caller
	Writable bool
	Upper    string   // the upper dir, "" when read-only
	Volatile bool     // nothing that is written is synced
	Flags    []string // of the mount point, such as "nosuid"
}

// Mounts lists the mounts of this store's images, also those that other
// programs made from a printed line, in every mount namespace that the caller
// may look into.
func (s *Store) Mounts(ctx context.Context) (list []Mounted, err error) {
	ix, _, err := s.mountIndex()
	if err == nil {
		err = ix.Each(ctx, func(m mountuse.Mounted) { list = append(list, Mounted(m)) })
	}
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return list, nil
}

// MountedAt tells whether the topmost mount at target, in the caller's mount
// namespace, is one of this store's images.
func (s *Store) MountedAt(ctx context.Context, target string) (Mounted, bool, error) {
	e, ok, err := mountuse.Topmost(ctx, target)
	if err != nil || !ok {
		return Mounted{}, false, err
	}
	ix, _, err := s.mountIndex()
	if err != nil {
		return Mounted{}, false, err
	}
	found, ok := ix.Mounted(ctx, mountuse.Self, e)
	return Mounted(found), ok, nil
}

// mountIndex is what is needed to recognise a mount of the store's.
func (s *Store) mountIndex() (*mountuse.Index, []Image, error) {
	byTarget, _, err := s.links().Read()
	if err != nil {
		return nil, nil, err
	}
	// As the kernel shows it, with no symbolic link in it.
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
