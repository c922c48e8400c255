// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

// verifyBatch is how many paths one goroutine checks in a row.
const verifyBatch = 64

// check is one path to compare. sameAs is the path that a hard link shares its
// inode with, "" when that one's name went to another file later.
type check struct {
	layer.Entry
	sameAs string
}

// dispatch is the second pass over files.zst: it hands the records that hold
// to the group.
func (c *layerCheck) dispatch(ctx context.Context, group *errgroup.Group, dir, root *os.File, j *journal.Index) error {
	r, err := journal.Open(dir)
	if err != nil {
		return err
	}
	defer r.Close()
	var batch []check
	send := func() {
		todo := batch
		batch = nil
		group.Go(func() error { return c.checkAll(ctx, root, todo) })
	}
	// Files whose name went to something else, for the hard links that still
	// lead to them.
	replaced := map[string]layer.Entry{}
	var index uint32
	for e, err := range r.All() {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		i := index
		index++
		if e.Type == layer.Removed || e.Type == layer.OpaqueMark {
			continue
		}
		if !j.Holds(i, e.Path) {
			if j.IsLinked(e.Path) {
				replaced[e.Path] = e
			}
			continue
		}
		if e.Path != "." {
			c.live++
		}
		e.Opaque = j.Opaque(&e)
		if batch = append(batch, link(e, i, j, replaced)); len(batch) == verifyBatch {
			send()
		}
	}
	send()
	return nil
}

// link says what a record is compared with: a hard link with the file that its
// target was when the link was made.
func link(e layer.Entry, index uint32, j *journal.Index, replaced map[string]layer.Entry) check {
	if e.Type != layer.Hardlink {
		return check{Entry: e}
	}
	target := j.Last(e.Linkname)
	if target < index && j.Holds(target, e.Linkname) {
		return check{Entry: e, sameAs: e.Linkname}
	}
	if was, ok := replaced[e.Linkname]; ok {
		was.Path = e.Path
		return check{Entry: was}
	}
	return check{Entry: e}
}

func (c *layerCheck) checkAll(ctx context.Context, root *os.File, batch []check) error {
	for i := range batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.checkPath(root, &batch[i]); err != nil {
			return fmt.Errorf("%q: %w", batch[i].Path, err)
		}
		c.files.Add(1)
	}
	return nil
}

// checkPath reports differences to c; its error is one of reading at all.
func (c *layerCheck) checkPath(root *os.File, e *check) error {
	f, err := fsat.Find(root, e.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		c.differ(e.Path, "missing", "", "")
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	a, st, err := lowerdir.Attributes(f)
	if err != nil {
		return err
	}
	if e.Type == layer.Hardlink {
		return c.checkLink(root, e, st)
	}
	if got := lowerdir.Type(f, st, c.form.Form); got != e.Type {
		c.differ(e.Path, "type", typeName(got), typeName(e.Type))
		return nil
	}
	if e.Type == layer.Whiteout {
		return nil // it has no attributes that matter
	}
	c.checkAttributes(e, a, st)
	if !c.quick {
		c.checkXattrs(e, a)
	}
	switch e.Type {
	case layer.Regular:
		return c.checkContent(f, e, st)
	case layer.Directory:
		c.checkOpaque(f, e)
	case layer.Symlink:
		if got, err := fsat.Readlink(f); err != nil || got != e.Linkname {
			c.differ(e.Path, "target", fmt.Sprintf("%q", got), fmt.Sprintf("%q", e.Linkname))
		}
	case layer.CharDevice, layer.BlockDevice:
		got := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
		if want := fmt.Sprintf("%d:%d", e.Major, e.Minor); got != want {
			c.differ(e.Path, "device", got, want)
		}
	}
	return nil
}

func (c *layerCheck) checkLink(root *os.File, e *check, st unix.Stat_t) error {
	if e.sameAs == "" {
		return nil
	}
	target, err := fsat.Find(root, e.sameAs)
	if err != nil {
		return nil // the target itself is reported
	}
	defer target.Close()
	var want unix.Stat_t
	if err := unix.Fstat(int(target.Fd()), &want); err != nil {
		return err
	}
	if st.Ino != want.Ino {
		c.differ(e.Path, "hard link", "another file", fmt.Sprintf("the same file as %q", e.sameAs))
	}
	return nil
}

func typeName(t layer.Type) string {
	names := map[layer.Type]string{
		layer.Regular: "a file", layer.Directory: "a directory", layer.Symlink: "a symbolic link",
		layer.CharDevice: "a character device", layer.BlockDevice: "a block device", layer.FIFO: "a FIFO", layer.Whiteout: "a whiteout",
	}
	return names[t]
}

func (c *layerCheck) checkAttributes(e *check, a fsat.Attributes, st unix.Stat_t) {
	if e.Type != layer.Symlink && a.Mode != e.Mode {
		c.differ(e.Path, "mode", fmt.Sprintf("%04o", a.Mode), fmt.Sprintf("%04o", e.Mode))
	}
	// Mapped ids are the image's inside the user namespace only.
	if c.form.IDs == layer.HostIDs || c.form.IDs == layer.MappedIDs && os.Geteuid() == 0 {
		if a.UID != e.UID || a.GID != e.GID {
			c.differ(e.Path, "owner", fmt.Sprintf("%d:%d", a.UID, a.GID), fmt.Sprintf("%d:%d", e.UID, e.GID))
		}
	}
	if e.Type == layer.Regular && st.Size != e.Size {
		c.differ(e.Path, "size", fmt.Sprint(st.Size), fmt.Sprint(e.Size))
	}
	sec, nsec := a.Modified.Unix()
	// A filesystem may keep whole seconds only.
	if sec != e.ModTime.Unix() || nsec != 0 && nsec != int64(e.ModTime.Nanosecond()) {
		got := fmt.Sprintf("%d.%09d", sec, nsec)
		c.differ(e.Path, "time", got, fmt.Sprintf("%d.%09d", e.ModTime.Unix(), e.ModTime.Nanosecond()))
	}
}

func (c *layerCheck) checkXattrs(e *check, a fsat.Attributes) {
	all := maps.Clone(a.Xattrs)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, e.Xattrs)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		got, has := a.Xattrs[name]
		want, had := e.Xattrs[name]
		if lowerdir.IsLocal(name) || has == had && got == want {
			continue
		}
		show := func(value string, there bool) string {
			if !there {
				return "absent"
			}
			return fmt.Sprintf("%.100q", value)
		}
		c.differ(e.Path, "xattr "+name, show(got, has), show(want, had))
	}
}

// checkOpaque compares the mark that the kernel goes by; on a root it goes by
// none.
func (c *layerCheck) checkOpaque(f *os.File, e *check) {
	got, want := lowerdir.IsOpaque(f, c.form.Form), e.Opaque != layer.Transparent
	if e.Path != "." && got != want {
		c.differ(e.Path, "opaque", fmt.Sprint(got), fmt.Sprint(want))
	}
}

func (c *layerCheck) checkContent(f *os.File, e *check, st unix.Stat_t) error {
	if c.quick || st.Size != e.Size {
		return nil
	}
	in, err := fsat.Reopen(f)
	if errors.Is(err, fs.ErrPermission) && c.form.IDs == layer.SquashedIDs {
		return nil // its owner may not read it: that is its mode
	}
	if err != nil {
		return err
	}
	defer in.Close()
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(sum, in)
	c.bytes.Add(n)
	if err != nil && !errors.Is(err, unix.EIO) {
		return err
	}
	if got := sum.Sum32(); err != nil || got != e.Sum {
		what := fmt.Sprintf("CRC-32C %08x", got)
		if err != nil {
			what = err.Error()
		}
		c.differ(e.Path, "content", what, fmt.Sprintf("CRC-32C %08x", e.Sum))
	}
	return nil
}

// extras looks for paths that no record has. Usually counting is enough; only
// when there are too many does it keep the names of all.
func (c *layerCheck) extras(dir, root *os.File, j *journal.Index) error {
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
	known, err := livePaths(dir, j)
	if err != nil {
		return err
	}
	return walkNames(root, func(p string) {
		if !known[p] {
			c.differ(p, "extra", "", "")
		}
	})
}

func livePaths(dir *os.File, j *journal.Index) (map[string]bool, error) {
	r, err := journal.Open(dir)
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
		dir, err := fsat.OpenDir(root, at)
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
