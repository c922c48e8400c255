// SPDX-License-Identifier: Apache-2.0

package mountuse

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Mounted is a mount of an image of a store.
type Mounted struct {
	Target   string
	Source   string
	Type     string        // of the filesystem, as mountinfo shows it
	Manifest digest.Digest // of the image, "" where the store does not know which
	PID      string        // of a process that sees the mount, "self" for the caller
	Writable bool
	Upper    string   // the upper dir, "" where the mount is read-only
	Volatile bool     // mounted with overlayfs's option volatile, which syncs nothing
	Flags    []string // of the mount point, such as "nosuid"
}

// Describe says what the mount e is, of which Use has found u in the process pid.
func (ix *Index) Describe(e mounts.Entry, pid string, u Use) Mounted {
	upper := e.Upper()
	if strings.HasPrefix(upper, "../") { // relative to l/, as in a mount line
		upper = filepath.Join(ix.Path, storedirs.Links, upper)
	}
	return Mounted{
		Target: e.Target, Source: e.Source, Type: e.Type, Manifest: u.Manifest, PID: pid, Writable: !e.ReadOnly(), Upper: upper,
		// Newer kernels show fsync=volatile.
		Volatile: slices.Contains(e.SuperOptions, "volatile") || e.Option("fsync") == "volatile",
		Flags:    e.Options,
	}
}
