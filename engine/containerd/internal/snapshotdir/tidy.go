// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
)

// Tidy removes what renewals have left, under names that begin with prefix, beside the
// layers' directories, unless something is mounted of the layer.
func Tidy(ctx context.Context, dirs []*os.File, prefix string) error {
	left := map[string][]string{} // paths by the snapshot's number
	for _, dir := range dirs {
		parent, err := durable.OpenDir(path.Dir(dir.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the engine has collected it
		}
		if err != nil {
			return err
		}
		names, err := fsat.Names(parent)
		if err := errors.Join(err, parent.Close()); err != nil {
			return err
		}
		for _, name := range slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, prefix) }) {
			left[path.Base(parent.Name())] = append(left[path.Base(parent.Name())], path.Join(parent.Name(), name))
		}
	}
	if len(left) == 0 {
		return nil
	}
	all := path.Dir(path.Dir(dirs[0].Name()))
	err := mounts.Each(ctx, func(_ string, m mounts.Entry) {
		for _, lower := range m.Lower() {
			if IsBelow(all, lower, m.Upper()) {
				delete(left, path.Base(path.Dir(lower)))
			}
		}
	})
	if err != nil {
		return err
	}
	for _, paths := range left {
		for _, p := range paths {
			parent, err := durable.OpenDir(path.Dir(p))
			if err != nil {
				return err
			}
			if err := errors.Join(fsat.RemoveAll(parent, path.Base(p)), parent.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}

// IsBelow reports whether a lower directory of a mount may be one of the snapshots in
// the directory all. A relative lower does not say that; then the upper directory
// tells.
func IsBelow(all, lower, upper string) bool {
	if !path.IsAbs(lower) {
		lower = upper
	}
	return !path.IsAbs(lower) || path.Dir(path.Dir(lower)) == all
}
