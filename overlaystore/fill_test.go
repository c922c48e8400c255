// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/layer"
)

type file = layertest.File

var (
	regular  = layertest.Regular
	dir      = layertest.Dir
	implied  = layertest.Implied
	whiteout = layertest.Whiteout
	symlink  = layertest.Symlink
	hardlink = layertest.Hardlink
	layerID  = layertest.DiffID
	testTime = layertest.Time
	epoch    = layertest.Epoch

	needsMount   = layertest.NeedsMount
	needsRoot    = layertest.NeedsRoot
	unmountLater = layertest.UnmountLater
	memoryDir    = layertest.MemoryDir
)

func fill(g *Staging, files ...file) error {
	return layertest.Fill(g, g.store.format.Form, files...)
}

// recordOf adds to a record what unpacking would note of the files.
func recordOf(rec LayerRecord, files []file) LayerRecord {
	rec.Facts = layertest.Facts(rec.Facts, files)
	return rec
}

// said is a directory that its layer's tar has an entry for.
func said(path string, mode, id uint32, xattrs ...string) file {
	f := dir(path, mode)
	f.UID, f.GID = id, id
	for i := 0; i < len(xattrs); i += 2 {
		if f.Xattrs == nil {
			f.Xattrs = map[string]string{}
		}
		f.Xattrs[xattrs[i]] = xattrs[i+1]
	}
	return f
}

func opaque(f file, o layer.Opaque) file { f.Opaque = o; return f }

func bare(path string) file {
	f := implied(path)
	f.Bare = true
	return f
}

// mountImage mounts an image read-only, as a mount line does.
func mountImage(t *testing.T, s *Store, img Image, target string) {
	t.Helper()
	dirs, err := s.LowerDirs(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	var lower []string
	for _, d := range dirs {
		lower = append(lower, strings.NewReplacer(`\`, `\\`, ",", `\,`, ":", `\:`).Replace(filepath.Join(s.LinkDir(), d.Link)))
	}
	options := "lowerdir=" + strings.Join(lower, ":")
	if s.format.Xattrs == layer.UserXattrs {
		options += ",userxattr"
	}
	if err := unix.Mount(mounts.Source("a", img.Manifest), target, "overlay", unix.MS_RDONLY, options); err != nil {
		t.Fatal(err)
	}
	unmountLater(t, target)
}

// noStep is the number of one that no command has.
const noStep = 1 << 30

// eachStep calls try with 0, 1, 2 … until there is no such step, and counts. In
// short it is one at two thirds of those that there are, after a run of them all.
func eachStep(try func(n int) (steps int, reached bool)) (tried int) {
	if !full() {
		all, _ := try(noStep)
		try(all * 2 / 3)
		return 1
	}
	for ; ; tried++ {
		if _, reached := try(tried); !reached {
			return tried
		}
	}
}

// full says that nothing is left out, however long it takes.
func full() bool { return os.Getenv("LAYERCTL_FULL") == "1" }
