// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/api/types"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/internal/fsat"
)

// The files of a snapshot of erofs.
const (
	Marker = ".erofslayer"
	Layer  = "layer.erofs"
	Merged = "fsmeta.erofs"
)

// errUnknown says that mounts are not such as the snapshotter is known to make.
var errUnknown = fmt.Errorf("%w: its snapshots are mounted in a way that is not known", failure.ErrUnsupported)

// Dir is the directory of a snapshot of erofs that is being made.
func Dir(mounts []*types.Mount) (string, error) {
	for _, m := range mounts {
		switch kind := m.Type[strings.LastIndexByte(m.Type, '/')+1:]; {
		case strings.HasPrefix(m.Type, "mkfs/"), m.Type == "bind":
			return path.Dir(m.Source), nil
		case kind == "overlay":
			for _, o := range m.Options {
				if upper, ok := strings.CutPrefix(o, "upperdir="); ok && path.IsAbs(upper) {
					return path.Dir(upper), nil
				}
			}
		}
	}
	return "", errUnknown
}

// ParseView reads from the mounts of a view of erofs which files its n layers are in,
// the topmost first. They do not tell whether there is an index beside the topmost: the
// view of a single layer is mounted without.
func ParseView(mounts []*types.Mount, n int) (files []string, err error) {
	for _, m := range mounts {
		if m.Type != "erofs" {
			continue
		}
		var devices []string
		for _, o := range m.Options {
			if device, ok := strings.CutPrefix(o, "device="); ok {
				devices = append(devices, device)
			}
		}
		if len(devices) == 0 {
			files = append(files, m.Source)
			continue
		}
		slices.Reverse(devices)
		files = append(files, devices...)
	}
	if len(files) == 0 || slices.ContainsFunc(files, func(p string) bool { return !path.IsAbs(p) }) {
		return nil, errUnknown
	}
	if len(files) != n {
		return nil, fmt.Errorf("%w: %d layers are %d files there", failure.ErrUnsupported, n, len(files))
	}
	return files, nil
}

// Lost is the path of the file of a layer that the engine misses, by what it says of
// that, or "". It has no code of its own for it, and says nowhere else where the file
// was (plugins/snapshots/erofs, resolveBlob, and lowerPath before 2.4).
func Lost(said error) string {
	text := said.Error()
	end := strings.Index(text, "/"+Layer+": ")
	if end < 0 || !strings.HasSuffix(text, "no erofs layer blob: file does not exist") && !strings.HasSuffix(text, "no such file or directory") {
		return ""
	}
	begin := strings.IndexByte(text, '/')
	if at := text[begin:end]; path.Clean(at) == at {
		return at + "/" + Layer
	}
	return ""
}

// IsLink says whether the file of a layer in a snapshot's directory is one with that
// in the directory at.
func IsLink(dir, from *os.File, at string) (bool, error) {
	there, err := fsat.Lstat(dir, Layer)
	if err != nil {
		return false, err
	}
	here, err := fsat.Lstat(from, path.Join(at, Layer))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return here.Dev == there.Dev && here.Ino == there.Ino, err
}
