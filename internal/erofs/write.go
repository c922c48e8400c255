// SPDX-License-Identifier: Apache-2.0

package erofs

import (
	"fmt"
	"io"
)

// Tree gives every path of a tree to add: "." first, then depth first, each
// directory before what is in it, and what is in one sorted by name, byte for
// byte. It ends with add's error. It is called twice, and must give the same
// both times.
type Tree func(add func(Entry) error) error

// writer writes one filesystem.
type writer struct {
	devices []Device
	own     bool  // the data is in the same file, before the metadata
	begin   int64 // of what follows the superblock and the devices
	walk
	dirs    []dirSize // in the order in which they come
	files   map[uint64]*file
	shared  sharedXattrs
	numbers uint32 // of inodes

	// Where the areas begin, in bytes, and in units of blocks how much of two of
	// them is taken.
	sharedAt, dirsAt, copiesAt, inodesAt int64
	dirBlocks, copyBlocks                int64

	out   *output
	order int // directories written
}

// file is one that has several names.
type file struct{ links, slot uint32 }

// dirSize is what is known of a directory once all that is in it was seen.
type dirSize struct {
	size  uint32 // bytes
	block uint32 // its first, among those of directories
	links uint32
}

// Write writes the filesystem with data on devices to a file that is empty, and
// returns its size.
func Write(to io.WriterAt, devices []Device, tree Tree) (size int64, err error) {
	if len(devices) > maxDevices {
		return 0, fmt.Errorf("%w: %d layers with files, more than %d", ErrUnsupported, len(devices), maxDevices)
	}
	for i, d := range devices {
		if d.Size > maxBlocks*BlockSize {
			return 0, fmt.Errorf("%w: layer %d has %d bytes, more than %d", ErrUnsupported, i+1, d.Size, int64(maxBlocks*BlockSize))
		}
	}
	w := newWriter(devices)
	w.begin = superAt + superSize + deviceSlot*int64(len(devices))
	if size, err = w.all(to, tree); err != nil {
		return 0, err
	}
	w.out.writeAt(w.super(size/BlockSize), 0)
	return size, w.out.err
}

// WriteBehind writes the metadata of a filesystem whose data is in the same
// file: from data.Size on, a multiple of [BlockSize]. All entries are on device
// 0, which is the file. It returns the superblock, which makes the file a
// filesystem once it is written at [SuperAt], where nothing else may be.
func WriteBehind(to io.WriterAt, data Device, tree Tree) (*Superblock, error) {
	if data.Size < superAt+superSize || data.Size%BlockSize != 0 {
		return nil, fmt.Errorf("%w: metadata from byte %d on", ErrUnsupported, data.Size)
	}
	w := newWriter([]Device{data})
	w.own, w.begin = true, data.Size
	size, err := w.all(to, tree)
	if err != nil {
		return nil, err
	}
	return (*Superblock)(w.super(size / BlockSize)[superAt:]), w.out.err
}

func newWriter(devices []Device) *writer {
	return &writer{devices: devices, files: map[uint64]*file{}, shared: sharedXattrs{known: map[[16]byte]sharedXattr{}}}
}

// all writes everything but the superblock, and says where it ends.
func (w *writer) all(to io.WriterAt, tree Tree) (size int64, err error) {
	if err := w.pass(tree, w.measure, w.measured); err != nil {
		return 0, err
	}
	if err := w.place(); err != nil {
		return 0, err
	}
	w.out = &output{w: to, begin: w.inodesAt}
	w.out.padTo(w.inodesAt + rootSlot*slotSize)
	if err := w.pass(tree, w.write, w.written); err != nil {
		return 0, err
	}
	size = align(w.out.end(), BlockSize)
	if size/BlockSize > maxBlocks {
		return 0, fmt.Errorf("%w: it would have more than 2 TiB of its own", ErrUnsupported)
	}
	w.out.padTo(size)
	w.out.flush()
	return size, nil
}

// place says where the areas are, when it is known how large they are.
func (w *writer) place() error {
	w.sharedAt = w.begin
	w.dirsAt = align(w.sharedAt+w.shared.size, BlockSize)
	w.copiesAt = w.dirsAt + w.dirBlocks*BlockSize
	w.inodesAt = w.copiesAt + w.copyBlocks*BlockSize
	w.copyBlocks = 0
	if w.inodesAt > maxBlocks*BlockSize {
		return fmt.Errorf("%w: it would have more than 2 TiB of its own", ErrUnsupported)
	}
	return nil
}

func align(n, to int64) int64 { return (n + to - 1) / to * to }

// measure is the first pass: it counts what an entry needs.
func (w *writer) measure(e *Entry) (level, error) {
	if f := w.files[e.File]; f != nil && e.File != 0 {
		f.links++
		return level{}, nil
	}
	if e.File != 0 {
		w.files[e.File] = &file{links: 1}
	}
	n, err := w.inode(&e.Inode)
	if err != nil {
		return level{}, err
	}
	w.shared.count(n.xattrs)
	switch {
	case n.isDir():
		w.dirs = append(w.dirs, dirSize{})
		return level{number: len(w.dirs) - 1}, nil
	case n.shape == shapeBlocks:
		w.copyBlocks += blocksOf(n.size)
	case n.shape == shapeMapped:
		w.copyBlocks += n.mapped.copied() << n.mapped.bits
	}
	return level{}, nil
}

// measured takes down how large a directory is.
func (w *writer) measured(l *level) error {
	size := l.blocks*BlockSize + int64(l.used)
	if size > 1<<32-1 {
		return fmt.Errorf("add %.200q: %w: a directory of %d bytes", l.path, ErrUnsupported, size)
	}
	w.dirs[l.number] = dirSize{size: uint32(size), block: uint32(w.dirBlocks), links: l.links}
	if tailOf(size) == 0 {
		size = align(size, BlockSize)
	}
	w.dirBlocks += size / BlockSize
	return nil
}

// maxTail is how much of a directory's last block goes behind its inode; a
// larger part would leave more of a block empty than it saves.
const maxTail = 384

// tailOf is how much of a directory stands behind its inode.
func tailOf(size int64) int64 {
	if tail := size % BlockSize; tail <= maxTail {
		return tail
	}
	return 0
}

// write is the second pass: it writes an entry's inode, and has its name put into
// the directory.
func (w *writer) write(e *Entry) (l level, err error) {
	f := w.files[e.File]
	if e.File == 0 {
		f = nil
	}
	if f != nil && f.slot != 0 {
		return level{slot: f.slot}, nil
	}
	n, err := w.inode(&e.Inode)
	if err != nil {
		return level{}, err
	}
	w.numbers++
	n.number = w.numbers
	if f != nil {
		n.links = f.links
	}
	if n.isDir() {
		d := w.dirs[w.order]
		l.number = w.order
		w.order++
		n.size, n.links, n.shape = int64(d.size), d.links, shapeBlocks
		n.value = uint32(w.dirsAt/BlockSize) + d.block
		if tailOf(n.size) > 0 {
			n.shape = shapeInline
		}
	}
	if err := w.writeInode(&n, e, &l); err != nil {
		return level{}, err
	}
	if f != nil {
		f.slot = l.slot
	}
	return l, w.out.err
}

// writeInode writes an inode with what follows it.
func (w *writer) writeInode(n *inode, e *Entry, l *level) error {
	ids, inline := w.shared.place(n.xattrs, w.sharedAt%BlockSize, func(at int64, entry string) {
		w.out.writeAt([]byte(entry), w.sharedAt+at)
	})
	attributes := appendXattrs(nil, ids, inline)
	at := w.slotFor(n, int64(len(attributes)))
	if (at-w.inodesAt)/slotSize > 1<<32-1 {
		return fmt.Errorf("%w: too many inodes", ErrUnsupported)
	}
	l.slot = uint32((at - w.inodesAt) / slotSize)
	block := uint32(w.copiesAt/BlockSize + w.copyBlocks)
	if n.shape == shapeBlocks && !n.isDir() {
		n.value = block
		w.copyBlocks += blocksOf(n.size)
		w.out.writeAt([]byte(e.Linkname), int64(block)*BlockSize)
	}
	w.out.padTo(at)
	w.out.write(appendInode(nil, n, len(attributes)))
	w.out.write(attributes)
	l.tail = w.out.end()
	switch n.shape {
	case shapeInline:
		if n.isDir() {
			w.out.padTo(l.tail + tailOf(n.size)) // written when it is complete
		} else {
			w.out.write([]byte(e.Linkname))
		}
	case shapeChunk:
		w.writeChunks(n)
	case shapeMapped:
		w.out.padTo(align(w.out.end(), chunkIndex))
		w.out.write(n.mapped.appendMap(nil, n.device, block))
		w.copyBlocks += n.mapped.copied() << n.mapped.bits
		if err := n.mapped.copyTo(w.out.w, int64(block)*BlockSize, w.devices[e.Device]); err != nil {
			return fmt.Errorf("copy a sparse file into the index: %w", err)
		}
	}
	return nil
}

// slotFor is where the next inode goes: what follows it within one block must
// not cross the end of that.
func (w *writer) slotFor(n *inode, attributes int64) int64 {
	at := align(w.out.end(), slotSize)
	if n.shape != shapeInline {
		return at
	}
	fixed := inodeSize + attributes
	tail, before := n.size, fixed // of a symlink, all in one block
	if n.isDir() {
		tail, before = tailOf(n.size), 0
	}
	for (at+fixed-before)%BlockSize+before+tail > BlockSize {
		at += slotSize
	}
	return at
}

func (w *writer) writeChunks(n *inode) {
	w.out.padTo(align(w.out.end(), chunkIndex))
	var chunks []byte
	size := int64(BlockSize) << chunkBits(n.size)
	for c := int64(0); c*size < n.size; c++ {
		chunks = appendChunk(chunks, n.device, n.value+uint32(c*(size/BlockSize)))
	}
	w.out.write(chunks)
}

// written writes what is left of a directory.
func (w *writer) written(l *level) error {
	d := w.dirs[l.number]
	at := w.dirsAt + int64(d.block)*BlockSize
	l.full = l.appendBlock(l.full)
	full := l.full
	if tail := tailOf(int64(d.size)); tail > 0 {
		full = full[:len(full)-int(tail)]
		w.out.patch(l.full[len(full):], l.tail)
	}
	w.out.writeAt(full, at+l.flushed)
	return w.out.err
}
