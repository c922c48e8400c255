// SPDX-License-Identifier: Apache-2.0

package erofs

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/layer"
)

// The sizes and places of the format (fs/erofs/erofs_fs.h).
const (
	superAt    = 1024
	superSize  = 128
	deviceSlot = 128
	inodeSize  = 64 // the extended form
	slotSize   = 32 // in which inodes are numbered
	direntSize = 12
	xattrHead  = 12
	chunkIndex = 8
	maxBlocks  = 1<<32 - 2 // the last number means a hole
	rootSlot   = 2         // not 0: programs pass over a name whose inode has that number

	magic            = 0xE0F5E1E2
	compatMTime      = 0x2
	incompatChunked  = 0x4
	incompatDevices  = 0x8
	hole             = 0xFFFFFFFF
	chunkWithIndexes = 0x20 // chunk format: entries of 8 bytes
	maxChunkBits     = 31   // above those of a block
)

// The layouts of an inode's data.
const (
	layoutPlain  = 0
	layoutInline = 2
	layoutChunks = 4
)

// The shapes that inodes have here.
const (
	shapeNone   = iota // no content, or that of a device node
	shapeChunk         // a file that is one chunk
	shapeMapped        // a file with a map of its own
	shapeInline        // a symlink's target, or the last part of a directory, behind the inode
	shapeBlocks        // whole blocks in the index
)

const (
	typeMask      = 0o170000
	typeDirectory = 0o040000
	typeSymlink   = 0o120000
)

// types are the types of stat(2).
func types() map[layer.Type]uint16 {
	return map[layer.Type]uint16{
		layer.Regular: 0o100000, layer.Directory: typeDirectory, layer.Symlink: typeSymlink,
		layer.CharDevice: 0o020000, layer.BlockDevice: 0o060000, layer.FIFO: 0o010000,
	}
}

// direntType is the type in a directory entry.
func direntType(mode uint16) byte {
	switch mode & typeMask {
	case 0o100000:
		return 1
	case typeDirectory:
		return 2
	case 0o020000:
		return 3
	case 0o060000:
		return 4
	case 0o010000:
		return 5
	default:
		return 7 // a symlink
	}
}

// xattrPrefix is a beginning of names that has a number.
type xattrPrefix struct {
	prefix string
	index  byte
}

func xattrPrefixes() []xattrPrefix {
	return []xattrPrefix{
		{"system.posix_acl_access", 2}, {"system.posix_acl_default", 3},
		{"user.", 1}, {"trusted.", 4}, {"security.", 6},
	}
}

// xattrEntry is one attribute as it stands on the disk.
func xattrEntry(name, value string) (string, error) {
	for _, p := range xattrPrefixes() {
		rest, ok := strings.CutPrefix(name, p.prefix)
		if !ok || strings.HasPrefix(p.prefix, "system.") && rest != "" {
			continue
		}
		if len(rest) > 255 || len(value) > 1<<16-1 {
			break
		}
		e := []byte{byte(len(rest)), p.index, 0, 0}
		binary.LittleEndian.PutUint16(e[2:], uint16(len(value)))
		e = append(append(e, rest...), value...)
		for len(e)%4 != 0 {
			e = append(e, 0)
		}
		return string(e), nil
	}
	return "", fmt.Errorf("%w: the attribute %.100q of %d bytes", ErrUnsupported, name, len(value))
}

// SuperAt is where in its file a superblock is.
const SuperAt = superAt

// Superblock is what makes a file a filesystem.
type Superblock [superSize]byte

// Valid reports whether it is one at all.
func (s *Superblock) Valid() bool { return binary.LittleEndian.Uint32(s[0:]) == magic }

// Size is how many bytes of its file the filesystem takes.
func (s *Superblock) Size() int64 {
	return int64(binary.LittleEndian.Uint32(s[36:])) * BlockSize
}

// UUID is the filesystem's, which is zeros unless somebody puts one there.
func (s *Superblock) UUID() []byte { return s[48:64] }

// super is the superblock with all devices' slots. It has no checksum: that is
// defined for blocks larger than the place of the superblock, and fsck.erofs 1.8
// does not survive one here.
func (w *writer) super(blocks int64) []byte {
	devices := w.devices
	if w.own {
		devices = nil
	}
	buf := make([]byte, superAt+superSize+deviceSlot*len(devices))
	sb := buf[superAt:]
	le := binary.LittleEndian
	le.PutUint32(sb[0:], magic)
	le.PutUint32(sb[8:], compatMTime)
	sb[12] = 9 // the logarithm of BlockSize
	le.PutUint16(sb[14:], rootSlot)
	le.PutUint64(sb[16:], uint64(w.numbers))
	le.PutUint32(sb[36:], uint32(blocks))
	le.PutUint32(sb[40:], uint32(w.inodesAt/BlockSize))
	le.PutUint32(sb[44:], uint32(w.sharedAt/BlockSize))
	le.PutUint32(sb[80:], incompatChunked)
	if w.own {
		return buf
	}
	le.PutUint32(sb[80:], incompatChunked|incompatDevices)
	le.PutUint16(sb[86:], uint16(len(devices)))
	le.PutUint16(sb[88:], (superAt+superSize)/deviceSlot)
	for i, d := range devices {
		slot := sb[superSize+i*deviceSlot:]
		le.PutUint32(slot[64:], uint32(blocksOf(d.Size)))
	}
	return buf
}

func blocksOf(size int64) int64 { return (size + BlockSize - 1) / BlockSize }

// appendInode appends an inode as it stands on the disk, with attributes of so
// many bytes behind it, but without what follows.
func appendInode(to []byte, n *inode, attributes int) []byte {
	le := binary.LittleEndian
	var d [inodeSize]byte
	data, value := layoutPlain, n.value
	switch n.shape {
	case shapeInline:
		data = layoutInline
	case shapeChunk:
		data, value = layoutChunks, chunkWithIndexes|uint32(chunkBits(n.size))
	case shapeMapped:
		data, value = layoutChunks, chunkWithIndexes|uint32(n.mapped.bits)
	}
	le.PutUint16(d[0:], uint16(1|data<<1))
	if attributes > 0 {
		le.PutUint16(d[2:], uint16((attributes-xattrHead)/4+1))
	}
	le.PutUint16(d[4:], n.mode)
	le.PutUint64(d[8:], uint64(n.size))
	le.PutUint32(d[16:], value)
	le.PutUint32(d[20:], n.number)
	le.PutUint32(d[24:], n.uid)
	le.PutUint32(d[28:], n.gid)
	le.PutUint64(d[32:], uint64(n.seconds))
	le.PutUint32(d[40:], n.nanos)
	le.PutUint32(d[44:], n.links)
	return append(to, d[:]...)
}

// chunkBits is the logarithm of the blocks of a chunk that holds all of a file.
func chunkBits(size int64) (bits int) {
	for int64(BlockSize)<<bits < size && bits < maxChunkBits {
		bits++
	}
	return bits
}

// appendChunk appends one entry of a chunk map.
func appendChunk(to []byte, device uint16, block uint32) []byte {
	to = append(to, 0, 0, byte(device), byte(device>>8))
	return binary.LittleEndian.AppendUint32(to, block)
}
