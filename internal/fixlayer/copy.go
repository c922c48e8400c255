// SPDX-License-Identifier: Apache-2.0

package fixlayer

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

// copy copies source, which is no directory, to the first of names, and makes the
// other names links to the copy.
func (b *builder) copy(source place, names []string) error {
	layerFS := b.v[source.layer].FS
	from, err := fsat.FindOwned(layerFS, source.path)
	if err != nil {
		return err
	}
	defer from.Close()
	a, st, err := ownedAttributes(layerFS, from)
	if err != nil {
		return err
	}
	dir, name, err := b.parent(names[0])
	if err != nil {
		return err
	}
	defer dir.Close()
	e := addAttributes(a, layer.Entry{Path: names[0]})
	if err := b.g.Room(uint64(st.Size)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		err = copyRegular(layerFS, from, dir, name, a, b.form, &e)
	} else {
		err = copySpecial(from, st, dir, name, a, b.form, &e)
	}
	if err != nil {
		return err
	}
	if err := b.g.Record(e); err != nil {
		return err
	}
	for _, other := range names[1:] {
		if err := b.link(dir, name, names[0], other); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) link(dir *os.File, name, first, other string) error {
	to, toName, err := b.parent(other)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := unix.Linkat(int(dir.Fd()), name, int(to.Fd()), toName, 0); err != nil {
		return &os.LinkError{Op: "link", Old: first, New: other, Err: err}
	}
	return b.g.Record(layer.Entry{Path: other, Type: layer.Hardlink, Linkname: first, ModTime: epoch})
}

func copyRegular(layerFS, from, dir *os.File, name string, a fsat.Attributes, form layer.Form, e *layer.Entry) (err error) {
	in, err := fsat.ReopenOwned(layerFS, from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := fsat.Create(dir, name, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sum := filesum.New()
	if e.Size, err = io.Copy(io.MultiWriter(out, sum), in); err != nil {
		return err
	}
	e.Type, e.Sum = layer.Regular, sum.Sum32()
	return lowerdir.SetAttributes(out, a, form)
}

// ownedAttributes reads the attributes of f, a file below layerFS, also if its mode
// forbids its owner to read them.
func ownedAttributes(layerFS, f *os.File) (a fsat.Attributes, st unix.Stat_t, err error) {
	a, st, err = lowerdir.Attributes(f)
	if !errors.Is(err, fs.ErrPermission) {
		return a, st, err
	}
	err = fsat.WithRead(layerFS, f, func(mode uint32) (err error) {
		a, st, err = lowerdir.Attributes(f)
		a.Mode = mode
		return err
	})
	return a, st, err
}

// copySpecial copies a symbolic link, a device or a FIFO.
func copySpecial(from *os.File, st unix.Stat_t, dir *os.File, name string, a fsat.Attributes, form layer.Form, e *layer.Entry) (err error) {
	fd := int(dir.Fd())
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		e.Type = layer.Symlink
		if e.Linkname, err = fsat.Readlink(from); err == nil {
			err = unix.Symlinkat(e.Linkname, fd, name)
		}
	default:
		if e.Type, err = lowerdir.Type(from, st, form); err != nil {
			return err
		}
		e.Major, e.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
		err = unix.Mknodat(fd, name, st.Mode, int(st.Rdev))
	}
	if err != nil {
		return &os.PathError{Op: "copy", Path: name, Err: err}
	}
	made, err := fsat.Find(dir, name)
	if err != nil {
		return err
	}
	return errors.Join(lowerdir.SetAttributes(made, a, form), made.Close())
}

// namesOf returns all names that the file at p has in the layer, with p, sorted. The
// journal says which paths may be such names.
func (l *layerView) namesOf(p string) ([]string, error) {
	f, err := fsat.FindOwned(l.FS, p)
	if err != nil {
		return nil, err
	}
	_, st, err := ownedAttributes(l.FS, f)
	f.Close()
	if err != nil || st.Nlink < 2 {
		return []string{p}, err
	}
	names := []string{p}
	candidates, err := linkedNames(l.Dir)
	if err != nil {
		return nil, err
	}
	for _, name := range candidates {
		other, err := fsat.FindOwned(l.FS, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue // the layer itself has removed it again, or a directory above it
		}
		if err != nil {
			return nil, err
		}
		var ost unix.Stat_t
		err = unix.Fstat(int(other.Fd()), &ost)
		other.Close()
		if err != nil {
			return nil, err
		}
		if ost.Ino == st.Ino && name != p {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// linkedNames returns all paths of a layer that are hard links or targets of some.
func linkedNames(dir *os.File) ([]string, error) {
	r, err := journal.Open(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	set := map[string]bool{}
	for e, err := range r.All() {
		if err != nil {
			return nil, err
		}
		if e.Type == layer.Hardlink {
			set[e.Path], set[e.Linkname] = true, true
		}
	}
	return slices.Collect(maps.Keys(set)), nil
}
