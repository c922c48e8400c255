// SPDX-License-Identifier: Apache-2.0

package erofs

import (
	"fmt"
	"time"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/layer"
)

// BlockSize is the unit in which data is addressed: that of a tar.
const BlockSize = 512

// ErrUnsupported says that the format has no room for what an image has.
var ErrUnsupported = errkind.New(errkind.Filesystem, "not possible in an EROFS index")

// maxDevices is what the superblock's 16 bits and the kernel's table take with
// room to spare.
const maxDevices = 8192

// Device is a file with data. The kernel is given them in the same order.
type Device struct {
	// Size is the file's length in bytes.
	Size int64
	// ReadAt reads the data that has to be copied into the index; nil is for
	// devices whose files all begin at a block.
	ReadAt func(p []byte, at int64) (int, error)
}

// Extent is a part of a file's content.
type Extent struct {
	Offset int64 // in the file
	Size   int64
	At     int64 // on the device
}

// Entry is one path of a tree.
type Entry struct {
	Path string
	Inode
	// File is the same number for all names of one file that has several, each of
	// which comes with the same inode; 0 is for what has one name.
	File uint64
}

// Inode is what one path is.
type Inode struct {
	Type         layer.Type // not Hardlink, and none that only a layer or a journal has
	Mode         uint32     // 07777
	UID, GID     uint32
	ModTime      time.Time
	Size         int64 // of a regular file
	Major, Minor uint32
	Linkname     string // of a symlink
	Xattrs       map[string]string
	// Device has the content of a regular file, counted from 0, and Extents say
	// where, in the order of Offset; what lies between them are holes.
	Device  int
	Extents []Extent
}

// inode is an inode as it is written.
type inode struct {
	size    int64
	seconds int64
	nanos   uint32
	uid     uint32
	gid     uint32
	links   uint32
	number  uint32
	value   uint32 // block of content, number of a device node, first block of a directory
	mode    uint16 // with the type, as in stat(2)
	device  uint16 // counted from 1, as on disk
	shape   uint8
	mapped  *mapped // of a file that is not one extent at a block
	xattrs  xattrs
}

func (n *inode) isDir() bool { return n.mode&typeMask == typeDirectory }

// inode is what i comes to. A directory's size and number of names, and the
// places of blocks, are not known yet.
func (w *writer) inode(i *Inode) (n inode, err error) {
	typ, ok := types()[i.Type]
	if !ok {
		return n, fmt.Errorf("%w: an entry of type %q", ErrUnsupported, i.Type)
	}
	n = inode{
		mode: typ | uint16(i.Mode&0o7777), uid: i.UID, gid: i.GID, links: 1,
		seconds: i.ModTime.Unix(), nanos: uint32(i.ModTime.Nanosecond()),
	}
	if n.xattrs, err = xattrsOf(i.Xattrs); err != nil {
		return n, err
	}
	switch i.Type {
	case layer.Symlink:
		n.size = int64(len(i.Linkname))
		if n.size == 0 || n.size >= 4096 {
			return n, fmt.Errorf("%w: a symlink's target of %d bytes", ErrUnsupported, n.size)
		}
		n.shape = shapeBlocks
		if inodeSize+n.xattrs.alone+n.size <= BlockSize {
			n.shape = shapeInline
		}
	case layer.CharDevice, layer.BlockDevice:
		if i.Major >= 1<<12 || i.Minor >= 1<<20 {
			return n, fmt.Errorf("%w: device number %d:%d", ErrUnsupported, i.Major, i.Minor)
		}
		n.value = i.Minor&0xff | i.Major<<8 | i.Minor&^0xff<<12 // new_encode_dev in the kernel
	case layer.Regular:
		err = w.content(&n, i)
	}
	return n, err
}

// content says where the content of a regular file is.
func (w *writer) content(n *inode, i *Inode) error {
	n.size, n.device = i.Size, uint16(i.Device+1)
	if w.own {
		n.device = 0
	}
	end := int64(0)
	for _, e := range i.Extents {
		if e.Offset < end || e.Size <= 0 || e.At < 0 || e.Size > i.Size-e.Offset || i.Device < 0 || i.Device >= len(w.devices) || e.Size > w.devices[i.Device].Size-e.At {
			return fmt.Errorf("%w: content outside of its file", ErrUnsupported)
		}
		end = e.Offset + e.Size
	}
	if i.Size < 0 || i.Size > maxBlocks*BlockSize {
		return fmt.Errorf("%w: a file of %d bytes", ErrUnsupported, i.Size)
	}
	if i.Size == 0 {
		return nil
	}
	if len(i.Extents) == 1 && i.Extents[0].Offset == 0 && i.Extents[0].Size == i.Size && i.Extents[0].At%BlockSize == 0 {
		n.value, n.shape = uint32(i.Extents[0].At/BlockSize), shapeChunk
		return nil
	}
	n.shape = shapeMapped
	n.mapped = newMapped(i.Size, i.Extents)
	return nil
}
