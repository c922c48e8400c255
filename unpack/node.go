// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// The largest device numbers that every filesystem keeps.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

// nodeType returns the type of a node, and its file format in st_mode.
func nodeType(h *layertar.Header) (layer.Type, uint32) {
	switch h.Type {
	case layertar.FIFO:
		return layer.FIFO, unix.S_IFIFO
	case layertar.CharDevice:
		return layer.CharDevice, unix.S_IFCHR
	}
	return layer.BlockDevice, unix.S_IFBLK
}

// node makes a device or a FIFO, without opening it.
func (u *unpacker) node(path string, e layer.Entry) error {
	h := u.h
	var format uint32
	e.Type, format = nodeType(h)
	above, base := entryname.Split(path)
	parent, err := u.parent(above, forEntry)
	if err != nil {
		return err
	}
	e.Path = entryname.Join(parent.Path, base)
	unwanted := u.skips(e.Path) || u.o.IDs == layer.RecordedIDs && e.Type != layer.FIFO && u.o.Devices != RefuseDevices
	if e.Type != layer.FIFO {
		if skip, err := u.device(e.Type, unwanted); skip || err != nil {
			return errors.Join(err, u.noteSkipped(e.Path))
		}
		e.Major, e.Minor = uint32(h.Major), uint32(h.Minor)
	}
	if unwanted {
		return u.placeholder(parent, base, e)
	}
	err = u.place(parent, base, e.Path, func() error {
		return u.disk.Mknod(parent.FD, base, format|e.Mode&0o777, unix.Mkdev(e.Major, e.Minor))
	})
	if err == unix.EPERM && e.Type != layer.FIFO {
		return errors.Join(u.skipDevice(), u.noteSkipped(e.Path))
	}
	if err != nil {
		return failed("make node", e.Path, err)
	}
	if err := u.setNode(parent, base, e); err != nil {
		return err
	}
	return u.record(e)
}

// device says whether to skip a device node, by its number and the caller's policy.
func (u *unpacker) device(t layer.Type, unwanted bool) (skip bool, err error) {
	h := u.h
	if h.Major < 0 || h.Major > maxMajor || h.Minor < 0 || h.Minor > maxMinor {
		return true, u.malformed("a device with the number %d:%d, outside 12 and 20 bits", h.Major, h.Minor)
	}
	if t == layer.CharDevice && h.Major == 0 && h.Minor == 0 {
		// Overlayfs would take it for a whiteout.
		return true, u.note(layer.NoteNullDevice)
	}
	switch {
	case unwanted:
		return false, nil
	case u.o.Devices == RefuseDevices:
		return true, u.malformed("a device node, refused by the policy")
	case u.o.Devices == SkipDevices, u.o.IDs != layer.HostIDs, u.caller.uid != 0:
		return true, u.skipDevice()
	}
	return false, nil
}

// noteSkipped remembers a device that was left out, so that a hardlink to it is no
// foreign link.
func (u *unpacker) noteSkipped(path string) error {
	if err := u.meter.keep(path, 0); err != nil {
		return err
	}
	u.skipped[path] = true
	return nil
}

func (u *unpacker) skipDevice() error {
	if u.o.Devices == SkipDevices {
		u.notes.count(layer.NoteDevice, u.h.Name)
		return nil
	}
	return u.note(layer.NoteDevice)
}
