// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/api/types"

	"github.com/layerctl/layerctl/internal/fsat"
)

// The files of a snapshot of erofs.
const (
	Marker = ".erofslayer"
	Layer  = "layer.erofs"
	Merged = "fsmeta.erofs"
)

// errUnknown says that mounts are not such as the snapshotter is known to make.
var errUnknown = errors.New("its snapshots are mounted in a way that is not known")

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

// View is what the layers of a view lie in.
type View struct {
	// Layers are the files of the layers, the topmost first.
	Layers []string
	// Merged is the file with the metadata of all of them; "" where there is none.
	Merged string
}

// ParseView reads the mounts of a view of erofs.
func ParseView(mounts []*types.Mount) (View, error) {
	var v View
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
			v.Layers = append(v.Layers, m.Source)
			continue
		}
		if len(v.Layers) == 0 {
			v.Merged = m.Source
		}
		slices.Reverse(devices)
		v.Layers = append(v.Layers, devices...)
	}
	if len(v.Layers) == 0 || slices.ContainsFunc(v.Layers, func(p string) bool { return !path.IsAbs(p) }) {
		return View{}, errUnknown
	}
	return v, nil
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
