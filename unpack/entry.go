// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"math"
	"time"
	"unsafe"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// entry applies the current entry of the tar.
func (u *unpacker) entry() error {
	h := u.h
	if err := u.meter.entry(h.Name); err != nil {
		return err
	}
	if err := u.noteHeader(); err != nil {
		return err
	}
	path, k, reason := entryname.Parse(h.Name)
	if reason != "" {
		return u.malformed("%s", reason)
	}
	if err := u.checkDotDot(h.Name); err != nil {
		return err
	}
	if err := u.meter.depth(path, h.Name); err != nil {
		return err
	}
	switch k {
	case entryname.AUFS:
		return u.aufs(path)
	case entryname.Whiteout, entryname.Opaque:
		return u.mark(path, k)
	}
	if path == "." && h.Type != layertar.Directory {
		return u.malformed("the layer's root as something else than a directory")
	}
	return u.make(path)
}

// noteHeader counts irregularities of the header that the tar reader accepts.
func (u *unpacker) noteHeader() error {
	h := u.h
	for _, n := range []struct {
		is  bool
		key string
	}{{h.Repeated, layer.NotePAXRepeated}, {h.OddTime, layer.NotePAXTime}, {h.SizeIgnored, layer.NoteSize}, {h.Sparse, layer.NoteSparse}} {
		if !n.is {
			continue
		}
		if err := u.note(n.key); err != nil {
			return err
		}
	}
	return nil
}

// make makes the file, directory, link or node of the current entry at path.
func (u *unpacker) make(path string) error {
	switch u.h.Type {
	case layertar.Hardlink:
		return u.hardlink(path)
	case layertar.Regular, layertar.Directory, layertar.Symlink,
		layertar.CharDevice, layertar.BlockDevice, layertar.FIFO:
	default:
		return u.malformed("an entry of type %q, which no layer has", u.h.Type)
	}
	e, err := u.attributes()
	if err != nil {
		return err
	}
	switch u.h.Type {
	case layertar.Regular:
		return u.file(path, e)
	case layertar.Directory:
		return u.directory(path, e)
	case layertar.Symlink:
		return u.symlink(path, e)
	default:
		return u.node(path, e)
	}
}

// attributes checks the entry's owner, mode, time and extended attributes, before
// anything is made.
func (u *unpacker) attributes() (layer.Entry, error) {
	h := u.h
	e := layer.Entry{Mode: uint32(h.Mode & 0o7777)}
	if h.UID < 0 || h.UID >= math.MaxUint32 || h.GID < 0 || h.GID >= math.MaxUint32 {
		// 2^32-1 is -1, "leave as it is", to chown(2).
		return e, u.malformed("owner %d:%d, outside 0 to 2^32-2", h.UID, h.GID)
	}
	e.UID, e.GID = uint32(h.UID), uint32(h.GID)
	var err error
	if e.ModTime, err = u.modTime(); err != nil {
		return e, err
	}
	e.Xattrs, err = u.xattrs()
	return e, err
}

// The range of times on ext4. XFS has a larger one, a 32-bit kernel a smaller one.
const (
	minSeconds = math.MinInt32
	maxSeconds = 1<<34 + math.MinInt32 - 1
)

// modTime returns the entry's time as the filesystem can hold it, for the journal
// must have what verifying will find.
func (u *unpacker) modTime() (time.Time, error) {
	h := u.h
	sec, nsec := h.Seconds, h.Nanoseconds
	if sec >= 0 && sec <= math.MaxInt32 {
		return time.Unix(sec, nsec), nil
	}
	latest := int64(maxSeconds)
	if unsafe.Sizeof(unix.Timespec{}.Sec) == 4 {
		latest = math.MaxInt32
	}
	clamped := min(max(sec, minSeconds), latest)
	if clamped != sec {
		nsec = 0
	}
	stored, err := u.probeTime(layerdisk.Timespec(time.Unix(clamped, nsec)))
	if err != nil {
		return time.Time{}, err
	}
	if h.TimeClamped || stored.Unix() != sec {
		return stored, u.note(layer.NoteTime)
	}
	return stored, nil
}

// probeTime asks the filesystem how it stores ts, by setting the root's time, which
// gets its final value at the end.
func (u *unpacker) probeTime(ts unix.Timespec) (time.Time, error) {
	root := u.dirs.Root
	root.Dirty = true
	stored, err := u.disk.StoredTime(root.FD, ts)
	if err != nil {
		return time.Time{}, failed("set times of", ".", err)
	}
	return time.Unix(int64(stored.Sec), int64(stored.Nsec)), nil
}
