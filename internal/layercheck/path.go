// SPDX-License-Identifier: Apache-2.0

package layercheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

func (c *Check) comparePaths(ctx context.Context, root *os.File, batch []expected) error {
	for i := range batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.comparePath(root, &batch[i]); err != nil {
			return fmt.Errorf("%q: %w", batch[i].Path, err)
		}
		c.files.Add(1)
	}
	return nil
}

// comparePath reports differences to c; its error is one of reading at all.
func (c *Check) comparePath(root *os.File, e *expected) error {
	if c.o.Copied && (e.Type == layer.Whiteout || e.Type == layer.Directory && e.Implied) {
		return nil // what there is instead depends on the layers below
	}
	f, err := fsat.FindOwned(root, e.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		c.Differ(e.Path, "missing", "", "")
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if e.Type == layer.Hardlink {
		st, err := fsat.Stat(f)
		if err != nil {
			return err
		}
		return c.checkLink(root, e, st)
	}
	if c.o.Form.IDs != layer.SquashedIDs || os.Geteuid() == 0 {
		return c.compare(f, e, nil)
	}
	// Such a store gives files modes that forbid its owner to read them.
	st, err := fsat.Stat(f)
	if err != nil {
		return err
	}
	if mode := st.Mode & 0o7777; mode == e.Mode && mode&0o400 != 0 {
		return c.compare(f, e, nil)
	}
	return fsat.WithRead(root, f, func(mode uint32) error { return c.compare(f, e, &mode) })
}

// compare compares what is at e's path, f, with e. mode is that of f where it
// has another for a moment, else nil.
func (c *Check) compare(f *os.File, e *expected, mode *uint32) error {
	a, st, err := lowerdir.Attributes(f)
	if err != nil {
		return err
	}
	if mode != nil {
		a.Mode = *mode
	}
	got, err := lowerdir.Type(f, st, c.o.Form)
	if err != nil {
		return err
	}
	if got != e.Type {
		c.Differ(e.Path, "type", typeName(got), typeName(e.Type))
		return nil
	}
	if e.Type == layer.Whiteout || c.o.Copied && e.Type == layer.Directory {
		return nil // its attributes do not matter, or are another layer's
	}
	if known, err := c.isKnown(e.Path, st); known || err != nil {
		return err
	}
	c.checkAttributes(e, a, st)
	if !c.o.Quick {
		c.checkXattrs(e, a)
	}
	return c.checkKind(f, e, st)
}

// isKnown says whether a file is one with that of a lower dir which was compared
// already.
func (c *Check) isKnown(path string, st unix.Stat_t) (bool, error) {
	if c.o.Known == nil {
		return false, nil
	}
	f, err := fsat.FindOwned(c.o.Known, path)
	if fsat.IsShortage(err) {
		return false, err
	}
	if err != nil {
		return false, nil
	}
	defer f.Close()
	other, err := fsat.Stat(f)
	return err == nil && other.Dev == st.Dev && other.Ino == st.Ino, err
}

// checkKind compares what only files of one type have.
func (c *Check) checkKind(f *os.File, e *expected, st unix.Stat_t) error {
	switch e.Type {
	case layer.Regular:
		return c.checkContent(f, e, st)
	case layer.Directory:
		return c.checkOpaque(f, e)
	case layer.Symlink:
		got, err := fsat.Readlink(f)
		if fsat.IsShortage(err) {
			return err
		}
		if err != nil || got != e.Linkname {
			c.Differ(e.Path, "target", fmt.Sprintf("%q", got), fmt.Sprintf("%q", e.Linkname))
		}
	case layer.CharDevice, layer.BlockDevice:
		got := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
		if want := fmt.Sprintf("%d:%d", e.Major, e.Minor); got != want {
			c.Differ(e.Path, "device", got, want)
		}
	}
	return nil
}

func (c *Check) checkLink(root *os.File, e *expected, st unix.Stat_t) error {
	if e.sameAs == "" {
		return nil
	}
	target, err := fsat.FindOwned(root, e.sameAs)
	if fsat.IsShortage(err) {
		return err
	}
	if err != nil {
		return nil // the target itself is reported
	}
	defer target.Close()
	var want unix.Stat_t
	if err := unix.Fstat(int(target.Fd()), &want); err != nil {
		return err
	}
	if st.Ino != want.Ino {
		c.Differ(e.Path, "hard link", "another file", fmt.Sprintf("the same file as %q", e.sameAs))
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

func (c *Check) checkAttributes(e *expected, a fsat.Attributes, st unix.Stat_t) {
	if e.Type != layer.Symlink && a.Mode != e.Mode {
		c.Differ(e.Path, "mode", fmt.Sprintf("%04o", a.Mode), fmt.Sprintf("%04o", e.Mode))
	}
	// Mapped ids are the image's inside the user namespace only.
	if c.o.Form.IDs == layer.HostIDs || c.o.Form.IDs == layer.MappedIDs && os.Geteuid() == 0 {
		if a.UID != e.UID || a.GID != e.GID {
			c.Differ(e.Path, "owner", fmt.Sprintf("%d:%d", a.UID, a.GID), fmt.Sprintf("%d:%d", e.UID, e.GID))
		}
	}
	if e.Type == layer.Regular && st.Size != e.Size {
		c.Differ(e.Path, "size", fmt.Sprint(st.Size), fmt.Sprint(e.Size))
	}
	sec, nsec := a.Modified.Unix()
	// A filesystem may keep whole seconds only.
	if sec != e.ModTime.Unix() || nsec != 0 && nsec != int64(e.ModTime.Nanosecond()) {
		got := fmt.Sprintf("%d.%09d", sec, nsec)
		c.Differ(e.Path, "time", got, fmt.Sprintf("%d.%09d", e.ModTime.Unix(), e.ModTime.Nanosecond()))
	}
}

func (c *Check) checkXattrs(e *expected, a fsat.Attributes) {
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
		c.Differ(e.Path, "xattr "+name, show(got, has), show(want, had))
	}
}

// checkOpaque compares the mark that the kernel goes by; on a root it goes by
// none.
func (c *Check) checkOpaque(f *os.File, e *expected) error {
	got, err := lowerdir.IsOpaque(f, c.o.Form)
	if errors.Is(err, fs.ErrPermission) {
		return nil // as of content
	}
	if err != nil {
		return err
	}
	want := e.Opaque != layer.Transparent
	if e.Path != "." && got != want {
		c.Differ(e.Path, "opaque", fmt.Sprint(got), fmt.Sprint(want))
	}
	return nil
}

func (c *Check) checkContent(f *os.File, e *expected, st unix.Stat_t) error {
	if c.o.Quick || st.Size != e.Size {
		return nil
	}
	in, err := fsat.Reopen(f)
	if errors.Is(err, fs.ErrPermission) && c.o.Form.IDs == layer.SquashedIDs {
		return nil // its owner may not read it: that is its mode
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if c.o.Uncached {
		_ = unix.Fadvise(int(in.Fd()), 0, 0, unix.FADV_DONTNEED) // advice
	}
	got, n, err := filesum.OfFile(in)
	c.bytes.Add(n)
	if err != nil && !errors.Is(err, unix.EIO) {
		return err
	}
	if err != nil || got != e.Sum {
		what := fmt.Sprintf("CRC-32C %08x", got)
		if err != nil {
			what = err.Error()
		}
		c.Differ(e.Path, "content", what, fmt.Sprintf("CRC-32C %08x", e.Sum))
	}
	return nil
}
