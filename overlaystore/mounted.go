// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/mountuse"
	"github.com/layerctl/layerctl/internal/storedirs"
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

// mounted describes a mount of this store's.
func mounted(ix *mountuse.Index, e mounts.Entry, pid string, u mountuse.Use) Mounted {
	upper := e.Upper()
	if strings.HasPrefix(upper, "../") { // seen from l/, as in a printed line
		upper = filepath.Join(ix.Path, storedirs.Links, upper)
	}
	return Mounted{
		Target: e.Target, Source: e.Source, Type: e.Type, Manifest: u.Manifest, PID: pid, Writable: !e.ReadOnly(), Upper: upper,
		// Newer kernels show fsync=volatile.
		Volatile: slices.Contains(e.SuperOptions, "volatile") || e.Option("fsync") == "volatile",
		Flags:    e.Options,
	}
}

// Mounts lists the mounts of this store's images, also those that other
// programs made from a printed line, in every mount namespace that the caller
// may look into.
func (s *Store) Mounts(ctx context.Context) ([]Mounted, error) {
	ix, _, err := s.mountIndex()
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var list []Mounted
	err = mounts.Each(ctx, func(proc string, e mounts.Entry) {
		if u := ix.Use(ctx, proc, e); u.Ours {
			list = append(list, mounted(ix, e, proc, u))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return list, nil
}

// MountedAt tells whether the topmost mount at target, in the caller's mount
// namespace, is one of this store's images.
func (s *Store) MountedAt(ctx context.Context, target string) (Mounted, bool, error) {
	target, err := filepath.Abs(target)
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
	if err != nil || !ix.Use(ctx, "self", e).Ours {
		return Mounted{}, false, err
	}
	return mounted(ix, e, "self", ix.Use(ctx, "self", e)), true, nil
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
