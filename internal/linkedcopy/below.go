// SPDX-License-Identifier: Apache-2.0

package linkedcopy

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

// whiteoutHides says whether a whiteout in the directory may hide something:
// whether any directory below is merged with it.
func (f *filling) whiteoutHides(p *pair) (bool, error) {
	if p.hides == nil {
		merged, err := merged(f.options.Form, f.to, f.below, p.path, []*os.File{f.from})
		if err != nil {
			return false, err
		}
		p.hides = &merged
	}
	return *p.hides, nil
}

// merged says whether overlayfs merges the directory at p, which top has, with
// that of any directory below (ovl_lookup in fs/overlayfs/namei.c). over are
// directories whose marks count as those of top.
func merged(form layer.Form, top *os.File, below []*os.File, p string, over []*os.File) (bool, error) {
	left := below
	for _, prefix := range prefixes(p) {
		var next []*os.File
		for _, dir := range append(slices.Clone(over), top) {
			_, opaque, err := look(form, dir, prefix)
			if err != nil || opaque {
				return false, err
			}
		}
		for _, dir := range left {
			is, last, err := look(form, dir, prefix)
			if err != nil {
				return false, err
			}
			if is {
				next = append(next, dir)
			}
			if last {
				break
			}
		}
		left = next
	}
	return len(left) > 0, nil
}

// prefixes are the directories on the way to p, with p, without the root: the
// kernel does not look at its mark.
func prefixes(p string) []string {
	var list []string
	for p != "." {
		list = append(list, p)
		p = path.Dir(p)
	}
	slices.Reverse(list)
	return list
}

// look says whether dir has a directory at p, and whether what it has there
// ends the search in those below it.
func look(form layer.Form, dir *os.File, p string) (is, last bool, err error) {
	found, err := fsat.Find(dir, p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if errors.Is(err, unix.ENOTDIR) {
		return false, true, nil
	}
	if err != nil {
		return false, false, err
	}
	defer found.Close()
	st, err := fsat.Stat(found)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return false, true, err
	}
	last, err = lowerdir.IsOpaque(found, form)
	return true, last, err
}

// Cover makes to hide what the directories below it have: the mark that says so
// does not count on the root of a layer. It is called before [Copier.Fill].
func (c *Copier) Cover(ctx context.Context, to *os.File, l Layer) error {
	names := map[string]bool{}
	for _, dir := range l.Below {
		list, err := fsat.Names(dir)
		if err != nil {
			return err
		}
		for _, name := range list {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.cover(to, l.From, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *Copier) cover(to, filled *os.File, name string) error {
	for _, dir := range []*os.File{to, filled} {
		st, err := fsat.Lstat(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return c.coverDirectory(to, filled, name)
		}
		return nil
	}
	if err := unix.Mknodat(int(to.Fd()), name, unix.S_IFCHR, 0); err != nil {
		return &os.PathError{Op: "make a whiteout", Path: name, Err: err}
	}
	return nil
}

// coverDirectory marks a directory of the root opaque. One that only the lower
// dir has is made, with its attributes.
func (c *Copier) coverDirectory(to, filled *os.File, name string) error {
	err := unix.Mkdirat(int(to.Fd()), name, 0o700)
	if err != nil && err != unix.EEXIST {
		return &os.PathError{Op: "mkdir", Path: name, Err: err}
	}
	made, openErr := fsat.OpenDir(to, name)
	if openErr != nil {
		return openErr
	}
	defer made.Close()
	if err == nil {
		from, err := fsat.OpenDir(filled, name)
		if err != nil {
			return err
		}
		defer from.Close()
		attributes, _, err := fsat.ReadAttributes(from, keep)
		if err != nil {
			return err
		}
		if err := errors.Join(fsat.RemoveACLs(made), fsat.SetAttributes(made, attributes, nil)); err != nil {
			return err
		}
	}
	return c.setOpaque(made)
}
