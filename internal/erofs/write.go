// SPDX-License-Identifier: Apache-2.0

package erofs

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// WriteTo writes the filesystem.
func (b *Builder) WriteTo(w io.Writer) (int64, error) {
	if err := b.place(); err != nil {
		return 0, err
	}
	for i := range b.xattrs {
		if size := b.xattrSize(&inode{xattrs: int32(i)}); size > xattrHead+4*(1<<16-2) {
			return 0, fmt.Errorf("%w: %d bytes of attributes of one file", ErrUnsupported, size)
		}
	}
	o := &output{w: bufio.NewWriterSize(w, 64<<10)}
	o.write(b.super())
	for i, at := range b.order {
		b.writeInode(o, at)
		if i == 0 && len(b.shared) > 0 {
			o.padTo(b.sharedAt)
			o.write(b.shared)
		}
	}
	o.padTo(b.dataAt)
	if err := b.writeBlocks(o); err != nil {
		return o.n, err
	}
	o.padTo(b.blocks * BlockSize)
	return o.n, o.end()
}

// output counts what was written; its error is sticky.
type output struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (o *output) write(p []byte) {
	o.n += int64(len(p))
	if _, err := o.w.Write(p); o.err == nil {
		o.err = err
	}
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.write(p)
	return len(p), o.err
}

func (o *output) padTo(at int64) {
	var zeros [BlockSize]byte
	for o.n < at {
		o.write(zeros[:min(at-o.n, BlockSize)])
	}
}

func (o *output) end() error {
	if err := o.w.Flush(); o.err == nil {
		o.err = err
	}
	return o.err
}

// writeInode writes an inode with what follows it.
func (b *Builder) writeInode(o *output, at int32) {
	id := b.nodes[at].inode
	n := &b.inodes[id]
	o.padTo(int64(n.slot) * slotSize)
	buf := b.appendXattrs(b.appendInode(nil, id), n)
	o.write(buf)
	switch n.shape {
	case shapeInline:
		if n.isDir() {
			o.write(b.directory(at, true))
		} else {
			o.write([]byte(b.links[id]))
		}
	case shapeChunk:
		o.padTo(align(o.n, chunkIndex))
		var chunks []byte
		size := int64(BlockSize) << chunkBits(n.size)
		for c := int64(0); c*size < n.size; c++ {
			chunks = appendChunk(chunks, n.device, n.value+uint32(c*(size/BlockSize)))
		}
		o.write(chunks)
	case shapeMapped:
		o.padTo(align(o.n, chunkIndex))
		o.write(b.sparse[id].appendMap(nil, n.device))
	}
}

// writeBlocks writes what has blocks of its own.
func (b *Builder) writeBlocks(o *output) error {
	for _, at := range b.order {
		id := b.nodes[at].inode
		n := &b.inodes[id]
		switch {
		case n.shape == shapeMapped:
			if err := b.sparse[id].copyTo(o, b.devices[n.device-1]); err != nil {
				return fmt.Errorf("copy a sparse file into the index: %w", err)
			}
		case n.isDir():
			o.write(b.directory(at, false))
		case n.shape == shapeBlocks:
			o.write([]byte(b.links[id]))
		default:
			continue
		}
		o.padTo(align(o.n, BlockSize))
		if o.err != nil {
			return o.err
		}
	}
	return nil
}

// directory is the part of a directory that stands behind its inode, or all
// else of it.
func (b *Builder) directory(at int32, tail bool) []byte {
	n := &b.inodes[b.nodes[at].inode]
	var all, block []byte
	list := b.children(at)
	for len(list) > 0 {
		count, used := 0, 0
		for count < len(list) && used+direntSize+len(b.entryName(list[count])) <= BlockSize {
			used += direntSize + len(b.entryName(list[count]))
			count++
		}
		block = b.directoryBlock(at, list[:count])
		list = list[count:]
		inline := len(list) == 0 && n.shape == shapeInline
		switch {
		case inline && tail:
			return block
		case inline || tail:
		case len(list) > 0:
			all = append(append(all, block...), make([]byte, BlockSize-len(block))...)
		default:
			all = append(all, block...)
		}
	}
	return all
}

// directoryBlock is one block of a directory: its entries, and behind them
// their names.
func (b *Builder) directoryBlock(at int32, list []int32) []byte {
	var entries, names []byte
	for _, c := range list {
		id := b.target(at, c)
		name := b.entryName(c)
		entries = binary.LittleEndian.AppendUint64(entries, uint64(b.inodes[id].slot))
		entries = binary.LittleEndian.AppendUint16(entries, uint16(direntSize*len(list)+len(names)))
		entries = append(entries, direntType(b.inodes[id].mode), 0)
		names = append(names, name...)
	}
	return append(entries, names...)
}

// target is the inode that an entry of a directory leads to.
func (b *Builder) target(at, entry int32) ID {
	switch entry {
	case -1:
		return b.nodes[at].inode
	case -2:
		return b.nodes[at].parents
	}
	return b.nodes[entry].inode
}
