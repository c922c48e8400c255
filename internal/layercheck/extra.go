// SPDX-License-Identifier: Apache-2.0

package layercheck

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/layer"
)

// extras looks for paths that no record has. Usually counting is enough; only
// when there are too many does it keep the names of all.
func (c *Check) extras(dir, root *os.File, j *journal.Index) error {
	count := int64(0)
	if err := walkNames(root, func(string) { count++ }); err != nil {
		return err
	}
	missing := int64(0)
	for _, d := range c.found {
		if d.Field == "missing" {
			missing++
		}
	}
	if count == c.live-missing {
		return nil
	}
	known, err := livePaths(dir, j, c.o.Until)
	if err != nil {
		return err
	}
	return walkNames(root, func(p string) {
		if !known[p] {
			c.Differ(p, "extra", "", "")
		}
	})
}

func livePaths(dir *os.File, j *journal.Index, until *journal.Mark) (map[string]bool, error) {
	r, err := journal.OpenUntil(dir, until)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	known := map[string]bool{}
	var index uint32
	for e, err := range r.All() {
		if err != nil {
			return nil, err
		}
		if e.Type != layer.Removed && e.Type != layer.OpaqueMark && j.Holds(index, e.Path) {
			known[e.Path] = true
		}
		index++
	}
	return known, nil
}

// walkNames calls f with every path below root but root itself.
func walkNames(root *os.File, f func(path string)) error {
	for todo := []string{"."}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		dir, err := openOwnedDir(root, at)
		if errors.Is(err, fs.ErrPermission) {
			continue // an unprivileged store keeps modes that shut its owner out
		}
		if err != nil {
			return err
		}
		list, err := dir.ReadDir(-1)
		dir.Close()
		if err != nil {
			return err
		}
		for _, d := range list {
			p := path.Join(at, d.Name())
			f(p)
			if d.IsDir() {
				todo = append(todo, p)
			}
		}
	}
	return nil
}

// openOwnedDir opens a directory below root, also where its mode or that of one
// above it forbids its owner to.
func openOwnedDir(root *os.File, path string) (*os.File, error) {
	dir, err := fsat.OpenDir(root, path)
	if !errors.Is(err, fs.ErrPermission) {
		return dir, err
	}
	found, err := fsat.FindOwned(root, path)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	err = fsat.WithRead(root, found, func(uint32) (err error) {
		dir, err = fsat.OpenDir(found, ".")
		return err
	})
	return dir, err
}
