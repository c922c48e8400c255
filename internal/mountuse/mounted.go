// SPDX-License-Identifier: Apache-2.0

package mountuse

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Self is the caller, as a process that sees a mount.
const Self = "self"

// Mounted is a live mount of an image of a store, as package overlaystore shows
// it.
type Mounted struct {
	Target, Source, Type string
	Manifest             digest.Digest
	PID                  string
	Writable             bool
	Upper                string
	Volatile             bool
	Flags                []string
}

// Each calls found for the mounts of the store's images in every mount namespace
// that the caller may look into.
func (ix *Index) Each(ctx context.Context, found func(Mounted)) error {
	return mounts.Each(ctx, func(proc string, e mounts.Entry) {
		if m, ok := ix.Mounted(ctx, proc, e); ok {
			found(m)
		}
	})
}

// Mounted describes a mount that the process proc sees, if it is one of the
// store's images.
func (ix *Index) Mounted(ctx context.Context, proc string, e mounts.Entry) (Mounted, bool) {
	u := ix.Use(ctx, proc, e)
	if !u.Ours {
		return Mounted{}, false
	}
	upper := e.Upper()
	if strings.HasPrefix(upper, "../") { // seen from l/, as in a printed line
		upper = filepath.Join(ix.Path, storedirs.Links, upper)
	}
	return Mounted{
		Target: e.Target, Source: e.Source, Type: e.Type, Manifest: u.Manifest, PID: proc, Writable: !e.ReadOnly(), Upper: upper,
		// Newer kernels show fsync=volatile.
		Volatile: slices.Contains(e.SuperOptions, "volatile") || e.Option("fsync") == "volatile",
		Flags:    e.Options,
	}, true
}

// Topmost is the topmost mount at target in the caller's mount namespace.
func Topmost(ctx context.Context, target string) (e mounts.Entry, ok bool, err error) {
	if target, err = filepath.Abs(target); err != nil {
		return e, false, err
	}
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	return mounts.At(ctx, target)
}
