// SPDX-License-Identifier: Apache-2.0

package erofs

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/layer"
)

// BlockSize is the unit in which data is addressed: that of a tar.
const BlockSize = 512

// ErrUnsupported says that the format has no room for what an image has.
var ErrUnsupported = errkind.New(errkind.Filesystem, "not possible in an EROFS index")

// maxDevices keeps the root's inode, which comes behind the devices, within the
// first 65,536 slots of 32 bytes: its number has 16 bits.
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

// ID names an inode of a Builder.
type ID int32

// Builder collects the entries of one filesystem.
type Builder struct {
	devices []Device
	inodes  []inode
	nodes   []node
	names   []byte
	links   map[ID]string  // targets of symlinks
	sparse  map[ID]*mapped // files that are not one extent at a block
	xattrs  []xattrSet
	sets    map[string]int32 // index in xattrs, by what the set says
	path    []level          // the directories that are open
	layout
}

// inode is one inode, in memory for all of them.
type inode struct {
	size    int64
	seconds int64
	nanos   uint32
	uid     uint32
	gid     uint32
	links   uint32
	xattrs  int32  // index of a set, -1 without
	value   uint32 // block of content, number of a device node, first block of a directory
	slot    uint32 // place in units of 32 bytes
	mode    uint16 // with the type, as in stat(2)
	device  uint16 // counted from 1, as on disk
	shape   uint8
}

// node is one name.
type node struct {
	name    uint32 // where it begins in names
	length  uint8
	inode   ID
	child   int32 // the first in a directory, -1 without
	next    int32 // the next in the same directory, -1 at its end
	parents ID    // the inode of the directory that a directory is in
}

// level is a directory whose entries are being added.
type level struct {
	path       string
	node, last int32
}

// NewBuilder makes a Builder for a filesystem with data on devices.
func NewBuilder(devices []Device) (*Builder, error) {
	if len(devices) > maxDevices {
		return nil, fmt.Errorf("%w: %d layers with files, more than %d", ErrUnsupported, len(devices), maxDevices)
	}
	for i, d := range devices {
		if d.Size > maxBlocks*BlockSize {
			return nil, fmt.Errorf("%w: layer %d has %d bytes, more than %d", ErrUnsupported, i+1, d.Size, int64(maxBlocks*BlockSize))
		}
	}
	return &Builder{devices: devices, links: map[ID]string{}, sparse: map[ID]*mapped{}, sets: map[string]int32{}}, nil
}

// Add adds a path: "." first, then depth first, each directory before what is
// in it.
func (b *Builder) Add(path string, i Inode) (ID, error) {
	id := ID(len(b.inodes))
	made, err := b.inode(id, i)
	if err != nil {
		return 0, fmt.Errorf("add %.200q: %w", path, err)
	}
	b.inodes = append(b.inodes, made)
	if path == "." && id == 0 {
		b.nodes = append(b.nodes, node{child: -1, next: -1})
		b.path = []level{{".", 0, -1}}
		return id, nil
	}
	return id, b.name(path, id)
}

// Link adds one more path of an inode that is no directory.
func (b *Builder) Link(path string, id ID) error {
	b.inodes[id].links++
	return b.name(path, id)
}

// name puts an inode into the directory that its path says.
func (b *Builder) name(path string, id ID) error {
	parent, base := ".", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		parent, base = path[:i], path[i+1:]
	}
	for len(b.path) > 0 && b.path[len(b.path)-1].path != parent {
		b.path = b.path[:len(b.path)-1]
	}
	if len(b.path) == 0 || base == "" || base == "." || base == ".." || len(base) > 255 || int64(len(b.names)+len(base)) > math.MaxUint32 {
		return fmt.Errorf("add %.200q: %w: it is out of order, or no name", path, ErrUnsupported)
	}
	at := int32(len(b.nodes))
	above := &b.path[len(b.path)-1]
	n := node{name: uint32(len(b.names)), length: uint8(len(base)), inode: id, child: -1, next: -1, parents: b.nodes[above.node].inode}
	b.names = append(b.names, base...)
	b.nodes = append(b.nodes, n)
	if above.last < 0 {
		b.nodes[above.node].child = at
	} else {
		b.nodes[above.last].next = at
	}
	above.last = at
	if b.inodes[id].isDir() {
		b.inodes[n.parents].links++
		b.path = append(b.path, level{path, at, -1})
	}
	return nil
}

func (n *inode) isDir() bool { return n.mode&typeMask == typeDirectory }

func (b *Builder) nameOf(n *node) []byte { return b.names[n.name : n.name+uint32(n.length)] }

// inode is the short form of i.
func (b *Builder) inode(id ID, i Inode) (inode, error) {
	typ, ok := types()[i.Type]
	if !ok {
		return inode{}, fmt.Errorf("%w: an entry of type %q", ErrUnsupported, i.Type)
	}
	n := inode{
		mode: typ | uint16(i.Mode&0o7777), uid: i.UID, gid: i.GID, links: 1,
		seconds: i.ModTime.Unix(), nanos: uint32(i.ModTime.Nanosecond()), xattrs: -1,
	}
	var err error
	if len(i.Xattrs) > 0 {
		if n.xattrs, err = b.set(i.Xattrs); err != nil {
			return inode{}, err
		}
	}
	switch i.Type {
	case layer.Directory:
		n.links = 2
	case layer.Symlink:
		n.size = int64(len(i.Linkname))
		if n.size == 0 || n.size >= 4096 {
			return inode{}, fmt.Errorf("%w: a symlink's target of %d bytes", ErrUnsupported, n.size)
		}
		b.links[id] = strings.Clone(i.Linkname)
	case layer.CharDevice, layer.BlockDevice:
		if i.Major >= 1<<12 || i.Minor >= 1<<20 {
			return inode{}, fmt.Errorf("%w: device number %d:%d", ErrUnsupported, i.Major, i.Minor)
		}
		n.value = i.Minor&0xff | i.Major<<8 | i.Minor&^0xff<<12 // new_encode_dev in the kernel
	case layer.Regular:
		err = b.content(id, &n, i)
	}
	return n, err
}

// content says where the content of a regular file is.
func (b *Builder) content(id ID, n *inode, i Inode) error {
	n.size, n.device = i.Size, uint16(i.Device+1)
	end := int64(0)
	for _, e := range i.Extents {
		if e.Offset < end || e.Size <= 0 || e.At < 0 || e.Size > i.Size-e.Offset || i.Device < 0 || i.Device >= len(b.devices) || e.Size > b.devices[i.Device].Size-e.At {
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
	b.sparse[id] = newMapped(i.Size, i.Extents)
	return nil
}

// xattrSet is what some files have, and where it is.
type xattrSet struct {
	entries []string // as on the disk, padded to 4 bytes
	files   uint32
	shared  []uint32 // of the entries that stand in the shared area, their ids
	inline  []string
}

// set is the index of the set of these attributes.
func (b *Builder) set(x map[string]string) (int32, error) {
	var set xattrSet
	for _, name := range slices.Sorted(maps.Keys(x)) {
		e, err := xattrEntry(name, x[name])
		if err != nil {
			return 0, err
		}
		set.entries = append(set.entries, e)
	}
	key := strings.Join(set.entries, "") // each says how long it is
	at, ok := b.sets[key]
	if !ok {
		at = int32(len(b.xattrs))
		b.xattrs = append(b.xattrs, set)
		b.sets[key] = at
	}
	b.xattrs[at].files++
	return at, nil
}
