// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"

	"github.com/layerctl/layerctl/internal/layerdisk"
	"golang.org/x/sys/unix"
)

// dir is a directory of the layer that is held open. While it is, its own
// modification time may be disturbed by what is made in it; mtime is put back
// when it is let go. Of all directories that are not held, the attributes on
// disk are the final ones.
type dir struct {
	path  string
	fd    int
	mtime unix.Timespec
	gid   uint32
	dirty bool
	used  uint64
}

// cachedDirs is how many directories are held open. A tar goes through a tree
// mostly in order, so a few make nearly every entry's parent a hit.
const cachedDirs = 16

// dirCache holds the directories that were used last. The root is always held.
type dirCache struct {
	disk   layerdisk.Disk
	root   *dir
	cached []*dir
	clock  uint64
}

// lookup finds a directory that is held.
func (c *dirCache) lookup(path string) *dir {
	if path == "." {
		return c.root
	}
	for _, d := range c.cached {
		if d.path == path {
			c.clock++
			d.used = c.clock
			return d
		}
	}
	return nil
}

// open returns the directory at path, which has no symlink in it.
func (c *dirCache) open(path string) (*dir, error) {
	if d := c.lookup(path); d != nil {
		return d, nil
	}
	fd, err := c.disk.OpenBelow(c.root.fd, path)
	if err != nil {
		return nil, err
	}
	st, err := c.disk.Fstat(fd)
	if err != nil {
		return nil, errors.Join(err, c.disk.Close(fd))
	}
	return c.hold(&dir{path: path, fd: fd, mtime: st.Mtim, gid: st.Gid})
}

// hold takes an open directory in, and lets that one go which was not used
// for the longest time.
func (c *dirCache) hold(d *dir) (*dir, error) {
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
func (c *dirCache) release(d *dir) error {
	err := c.restoreTime(d)
	return errors.Join(err, failed("close", d.path, c.disk.Close(d.fd)))
}

func (c *dirCache) restoreTime(d *dir) error {
	if !d.dirty {
		return nil
	}
	d.dirty = false
	return failed("set times of", d.path, c.disk.SetTimes(d.fd, d.mtime))
}

// forget closes path and all below it without a look back: they are about to
// be removed.
func (c *dirCache) forget(path string) error {
	var errs []error
	kept := c.cached[:0]
	for _, d := range c.cached {
		if d.path == path || isBelow(d.path, path) {
			errs = append(errs, c.disk.Close(d.fd))
			continue
		}
		kept = append(kept, d)
	}
	clear(c.cached[len(kept):])
	c.cached = kept
	return failed("close", path, errors.Join(errs...))
}

// closeAll lets go of all but the root, whose times are set too.
func (c *dirCache) closeAll() error {
	var errs []error
	for _, d := range c.cached {
		errs = append(errs, c.release(d))
	}
	c.cached = nil
	errs = append(errs, c.restoreTime(c.root))
	return errors.Join(errs...)
}

// closeCached closes what an error has left open.
func (c *dirCache) closeCached() error {
	var errs []error
	for _, d := range c.cached {
		errs = append(errs, c.disk.Close(d.fd))
	}
	c.cached = nil
	return errors.Join(errs...)
}

// isBelow is true where path lies below dir, which is not the root.
func isBelow(path, dir string) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}
