// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"errors"
	"fmt"

	"github.com/layerctl/layerctl/internal/entryname"
	"golang.org/x/sys/unix"
)

// Dir is a directory of the layer that is held open. While it is, its own
// modification time may be disturbed by what is made in it, which Dirty says;
// ModTime is put back when it is let go. Of all directories that are not held,
// the attributes on disk are the final ones.
type Dir struct {
	Path    string
	FD      int
	ModTime unix.Timespec
	GID     uint32
	Dirty   bool
	used    uint64
}

// cachedDirs is how many directories are held open. A tar goes through a tree
// mostly in order, so a few make nearly every entry's parent a hit.
const cachedDirs = 16

// Directories holds those that were used last. The root is always held.
type Directories struct {
	Disk   Disk
	Root   *Dir
	cached []*Dir
	clock  uint64
}

// lookup finds a directory that is held.
func (c *Directories) lookup(path string) *Dir {
	if path == "." {
		return c.Root
	}
	for _, d := range c.cached {
		if d.Path == path {
			c.clock++
			d.used = c.clock
			return d
		}
	}
	return nil
}

// Open returns the directory at path, which has no symlink in it.
func (c *Directories) Open(path string) (*Dir, error) {
	if d := c.lookup(path); d != nil {
		return d, nil
	}
	fd, err := c.Disk.OpenBelow(c.Root.FD, path)
	if err != nil {
		return nil, err
	}
	st, err := c.Disk.Fstat(fd)
	if err != nil {
		return nil, errors.Join(err, c.Disk.Close(fd))
	}
	return c.Hold(&Dir{Path: path, FD: fd, ModTime: st.Mtim, GID: st.Gid})
}

// Hold takes an open directory in, and lets that one go which was not used
// for the longest time.
func (c *Directories) Hold(d *Dir) (*Dir, error) {
	c.clock++
	d.used = c.clock
	if len(c.cached) < cachedDirs {
		c.cached = append(c.cached, d)
		return d, nil
	}
	oldest := 0
	for i, h := range c.cached {
		if h.used < c.cached[oldest].used {
			oldest = i
		}
	}
	old := c.cached[oldest]
	c.cached[oldest] = d
	return d, c.release(old)
}

// release sets the time of a directory and closes it. The time goes by the
// descriptor: whatever has its name by now stays untouched.
func (c *Directories) release(d *Dir) error {
	err := c.restoreTime(d)
	return errors.Join(err, failed("close", d.Path, c.Disk.Close(d.FD)))
}

func (c *Directories) restoreTime(d *Dir) error {
	if !d.Dirty {
		return nil
	}
	d.Dirty = false
	return failed("set times of", d.Path, c.Disk.SetTimes(d.FD, d.ModTime))
}

// Forget closes path and all below it without a look back: they are about to
// be removed.
func (c *Directories) Forget(path string) error {
	var errs []error
	kept := c.cached[:0]
	for _, d := range c.cached {
		if d.Path == path || IsBelow(d.Path, path) {
			errs = append(errs, c.Disk.Close(d.FD))
			continue
		}
		kept = append(kept, d)
	}
	clear(c.cached[len(kept):])
	c.cached = kept
	return failed("close", path, errors.Join(errs...))
}

// CloseAll lets go of all but the root, whose times are set too.
func (c *Directories) CloseAll() error {
	var errs []error
	for _, d := range c.cached {
		errs = append(errs, c.release(d))
	}
	c.cached = nil
	errs = append(errs, c.restoreTime(c.Root))
	return errors.Join(errs...)
}

// CloseCached closes what an error has left open.
func (c *Directories) CloseCached() error {
	var errs []error
	for _, d := range c.cached {
		errs = append(errs, c.Disk.Close(d.FD))
	}
	c.cached = nil
	return errors.Join(errs...)
}

// IsBelow is true where path lies below dir, which is not the root.
func IsBelow(path, dir string) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

func failed(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, entryname.Quote(path), err)
}
