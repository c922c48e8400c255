// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/api/types"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
)

// Overlay is what a mount of overlayfs is made of.
type Overlay struct {
	Upper string
	Lower []string // the topmost first
}

// ParseOverlay reads what the snapshotter would mount, and refuses what it cannot
// be filled for.
func ParseOverlay(list []*types.Mount) (Overlay, error) {
	if len(list) != 1 {
		return Overlay{}, fmt.Errorf("%w: its snapshots are %d mounts", failure.ErrUnsupported, len(list))
	}
	m := list[0]
	switch m.Type {
	case "bind": // of the only directory, to be filled or only read
		if slices.Contains(m.Options, "ro") {
			return Overlay{Lower: []string{m.Source}}, nil
		}
		return Overlay{Upper: m.Source}, nil
	case "overlay":
	default:
		return Overlay{}, fmt.Errorf("%w: its snapshots are mounted as %.50q", failure.ErrUnsupported, m.Type)
	}
	var found Overlay
	for _, o := range m.Options {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "upperdir":
			found.Upper = value
		case "lowerdir":
			found.Lower = strings.Split(value, ":")
		case "userxattr", "uidmap", "gidmap":
			return Overlay{}, fmt.Errorf("%w: it runs in a user namespace (its mounts have the option %s)", failure.ErrUnsupported, key)
		}
	}
	return found, nil
}

// spareDigits are for the containers that are still to come, whose own directories are
// named as well.
const spareDigits = 2

// OptionsSize is how long the mount options of a container are, as containerd
// writes them (core/mount/mount_linux.go): its own directories by their paths,
// the layers' by the end of theirs. last is a directory of the newest snapshot.
func OptionsSize(last string, below []string, more int) int {
	id, err := strconv.Atoi(path.Base(path.Dir(last)))
	if err != nil {
		return 0 // named in another way than is known
	}
	own := len(last) + spareDigits
	size := len("index=off,workdir=,upperdir=,lowerdir=") + own + own + len("work") - len("fs")
	for _, dir := range below {
		size += len(path.Base(path.Dir(dir))) + len("/fs:")
	}
	for i := range more {
		size += len(strconv.Itoa(id+1+i)) + len("/fs:")
	}
	return size
}
