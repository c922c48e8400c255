// SPDX-License-Identifier: Apache-2.0

package erofs

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// layout is where everything goes.
type layout struct {
	blocks     int64 // of the whole index
	xattrBlock uint32
	shared     []byte // the shared attributes
	sharedAt   int64
	inodesAt   int64
	order      []int32 // nodes whose inodes are written, in their order
	dataAt     int64
}

// place gives everything its place.
func (b *Builder) place() error {
	if len(b.nodes) == 0 {
		return fmt.Errorf("%w: no root", ErrUnsupported)
	}
	b.sharedAt = superAt + superSize + deviceSlot*int64(len(b.devices))
	b.xattrBlock = uint32(b.sharedAt / BlockSize)
	b.share()
	// The root comes before shared attributes that could take its number away.
	at := align(b.sharedAt, slotSize)
	b.inodesAt = at
	b.order = b.order[:0]
	placed := make([]bool, len(b.inodes))
	for i := range b.nodes {
		id := b.nodes[i].inode
		if placed[id] {
			continue
		}
		placed[id] = true
		b.order = append(b.order, int32(i))
		at = b.placeInode(int32(i), at)
		if i == 0 && len(b.shared) > 0 {
			b.sharedAt = align(at, 4)
			b.shiftShared()
			at = b.sharedAt + int64(len(b.shared))
		}
	}
	b.dataAt = align(at, BlockSize)
	return b.placeBlocks(b.dataAt / BlockSize)
}

func align(n, to int64) int64 { return (n + to - 1) / to * to }

// placeInode gives an inode its slot, and returns where what belongs to it ends.
func (b *Builder) placeInode(at int32, from int64) int64 {
	id := b.nodes[at].inode
	n := &b.inodes[id]
	from = align(from, slotSize)
	fixed := inodeSize + b.xattrSize(n)
	var tail, before int64 // what follows within one block, and what must be in that block before it
	switch {
	case n.isDir():
		n.size = b.directorySize(at)
		if tail = n.size % BlockSize; tail > maxTail {
			tail = 0
		}
		n.shape = shapeBlocks
		if tail > 0 {
			n.shape = shapeInline
		}
	case n.mode&typeMask == 0o120000:
		n.shape = shapeBlocks
		if fixed+n.size <= BlockSize {
			n.shape, tail, before = shapeInline, n.size, fixed
		}
	}
	for tail > 0 && (from+fixed-before)%BlockSize+before+tail > BlockSize {
		from += slotSize
	}
	n.slot = uint32(from / slotSize)
	end := from + fixed + tail
	switch n.shape {
	case shapeChunk:
		count := (n.size + BlockSize<<chunkBits(n.size) - 1) / (BlockSize << chunkBits(n.size))
		end = align(end, chunkIndex) + chunkIndex*count
	case shapeMapped:
		end = align(end, chunkIndex) + chunkIndex*b.sparse[id].chunks()
	}
	return end
}

// maxTail is how much of a directory's last block goes behind its inode; a
// larger part would leave more of a block empty than it saves.
const maxTail = 384

// placeBlocks gives directories, long targets and copied data their blocks.
func (b *Builder) placeBlocks(block int64) error {
	for _, at := range b.order {
		id := b.nodes[at].inode
		n := &b.inodes[id]
		switch {
		case n.shape == shapeMapped:
			m := b.sparse[id]
			m.first = uint32(block)
			block += m.copied() << m.bits
		case n.shape == shapeInline && !n.isDir(), n.shape == shapeChunk, n.shape == shapeNone:
			continue
		default:
			n.value = uint32(block)
			if n.shape == shapeInline {
				block += n.size / BlockSize
			} else {
				block += blocksOf(n.size)
			}
		}
		if block > maxBlocks {
			return fmt.Errorf("%w: it would have more than 2 TiB of its own", ErrUnsupported)
		}
	}
	b.blocks = block
	return nil
}

// children are the nodes in a directory, sorted by name, and "." and ".." as -1
// and -2.
func (b *Builder) children(at int32) []int32 {
	list := []int32{-1, -2}
	for c := b.nodes[at].child; c >= 0; c = b.nodes[c].next {
		list = append(list, c)
	}
	slices.SortFunc(list, func(x, y int32) int { return bytes.Compare(b.entryName(x), b.entryName(y)) })
	return list
}

func (b *Builder) entryName(at int32) []byte {
	if at < 0 {
		return []byte("..")[:-at]
	}
	return b.nameOf(&b.nodes[at])
}

// directorySize is how long a directory is: whole blocks, and the last one as
// far as it is used.
func (b *Builder) directorySize(at int32) int64 {
	size, used := int64(0), int64(0)
	for _, c := range b.children(at) {
		more := direntSize + int64(len(b.entryName(c)))
		if used+more > BlockSize {
			size, used = size+BlockSize, 0
		}
		used += more
	}
	return size + used
}

// mostShared is how many shared attributes an inode can name.
const mostShared = 255

// share decides which attributes stand once for all files that have them: those
// in several sets, and those whose set several files have.
func (b *Builder) share() {
	uses := map[string]uint32{}
	for i := range b.xattrs {
		for _, e := range b.xattrs[i].entries {
			uses[e] += b.xattrs[i].files
		}
	}
	places := map[string]uint32{}
	b.shared = b.shared[:0]
	for i := range b.xattrs {
		s := &b.xattrs[i]
		s.shared, s.inline = nil, nil
		for _, e := range s.entries {
			if uses[e] < 2 || len(s.shared) == mostShared {
				s.inline = append(s.inline, e)
				continue
			}
			at, ok := places[e]
			if !ok {
				at = uint32(len(b.shared))
				places[strings.Clone(e)] = at
				b.shared = append(b.shared, e...)
			}
			s.shared = append(s.shared, at)
		}
	}
}

// shiftShared turns places in the shared area into ids: units of 4 bytes from
// the block where that area is said to begin.
func (b *Builder) shiftShared() {
	b.xattrBlock = uint32(b.sharedAt / BlockSize)
	shift := uint32(b.sharedAt % BlockSize)
	for i := range b.xattrs {
		for j := range b.xattrs[i].shared {
			b.xattrs[i].shared[j] = (b.xattrs[i].shared[j] + shift) / 4
		}
	}
}
