// SPDX-License-Identifier: Apache-2.0

package erofs

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// walk follows one pass over a tree.
type walk struct {
	levels []level // the directories that are open
}

// level is a directory that is open, or what a pass says of any entry.
type level struct {
	path   string
	last   string // the name that came last
	dots   int    // of "." and "..", which are among the names
	number int    // in the order of directories
	links  uint32
	blocks int64 // that are full
	used   int   // bytes of the next one

	// In the second pass:
	slot    uint32 // of the inode
	above   uint32 // that of the directory it is in
	tail    int64  // where what follows the inode goes
	names   []byte // of the block that is being filled
	entries []dirent
	full    []byte // blocks that have not been written
	flushed int64  // bytes that have
}

// dirent is a name in the block that is being filled.
type dirent struct {
	slot   uint32
	length uint8
	typ    byte
}

// pass goes over the tree. each says what an entry is, and end hears of each
// directory when all of it was seen.
func (w *writer) pass(tree Tree, each func(*Entry) (level, error), end func(*level) error) error {
	w.levels = w.levels[:0]
	begun := false
	err := tree(func(e Entry) error {
		if !begun && e.Path == "." {
			begun = true
			return w.open(&e, each)
		}
		return w.add(&e, each, end)
	})
	if err == nil && !begun {
		err = fmt.Errorf("%w: no root", ErrUnsupported)
	}
	for err == nil && len(w.levels) > 0 {
		err = w.close(end)
	}
	return err
}

func (w *writer) open(e *Entry, each func(*Entry) (level, error)) error {
	l, err := each(e)
	if err != nil {
		return fmt.Errorf("add %.200q: %w", e.Path, err)
	}
	l.path, l.above, l.links = e.Path, l.slot, 2
	w.levels = append(w.levels, l)
	return nil
}

// add adds a path below the root.
func (w *writer) add(e *Entry, each func(*Entry) (level, error), end func(*level) error) error {
	parent, base := ".", e.Path
	if i := strings.LastIndexByte(e.Path, '/'); i >= 0 {
		parent, base = e.Path[:i], e.Path[i+1:]
	}
	for len(w.levels) > 0 && w.levels[len(w.levels)-1].path != parent {
		if err := w.close(end); err != nil {
			return err
		}
	}
	if len(w.levels) == 0 || base == "" || base == "." || base == ".." || len(base) > 255 || base <= w.levels[len(w.levels)-1].last {
		return fmt.Errorf("add %.200q: %w: it is out of order, or no name", e.Path, ErrUnsupported)
	}
	l, err := each(e)
	if err != nil {
		return fmt.Errorf("add %.200q: %w", e.Path, err)
	}
	above := &w.levels[len(w.levels)-1]
	above.last = base
	w.dots(above, base)
	mode := types()[e.Type]
	w.put(above, base, l.slot, direntType(mode))
	if mode == typeDirectory {
		above.links++
		l.path, l.above, l.links = e.Path, above.slot, 2
		w.levels = append(w.levels, l)
	}
	return nil
}

// close ends the directory that was opened last.
func (w *writer) close(end func(*level) error) error {
	l := &w.levels[len(w.levels)-1]
	w.dots(l, "")
	err := end(l)
	w.levels = w.levels[:len(w.levels)-1]
	return err
}

// dots puts "." and ".." in where they belong before a name; "" is the end.
func (w *writer) dots(l *level, before string) {
	for l.dots < 2 {
		name := ".."[:l.dots+1]
		if before != "" && name > before {
			return
		}
		l.dots++
		w.put(l, name, []uint32{l.slot, l.above}[l.dots-1], direntType(typeDirectory))
	}
}

// put puts a name into a directory: whole blocks, of which the last one is as
// long as it is used.
func (w *writer) put(l *level, name string, slot uint32, typ byte) {
	more := direntSize + len(name)
	if l.used+more > BlockSize {
		if w.out != nil {
			w.fill(l)
		}
		l.blocks, l.used = l.blocks+1, 0
	}
	l.used += more
	if w.out != nil {
		l.names = append(l.names, name...)
		l.entries = append(l.entries, dirent{slot, uint8(len(name)), typ})
	}
}

// atOnce is how many bytes of a directory are written at once.
const atOnce = 16 * BlockSize

// fill ends a block of a directory that has more.
func (w *writer) fill(l *level) {
	l.full = l.appendBlock(l.full)
	l.full = append(l.full, make([]byte, align(int64(len(l.full)), BlockSize)-int64(len(l.full)))...)
	if len(l.full) >= atOnce {
		w.out.writeAt(l.full, w.dirsAt+int64(w.dirs[l.number].block)*BlockSize+l.flushed)
		l.flushed += int64(len(l.full))
		l.full = l.full[:0]
	}
}

// appendBlock appends the block that is being filled: its entries, and behind
// them their names.
func (l *level) appendBlock(to []byte) []byte {
	at := direntSize * len(l.entries)
	for _, e := range l.entries {
		to = binary.LittleEndian.AppendUint64(to, uint64(e.slot))
		to = binary.LittleEndian.AppendUint16(to, uint16(at))
		to = append(to, e.typ, 0)
		at += int(e.length)
	}
	to = append(to, l.names...)
	l.entries, l.names = l.entries[:0], l.names[:0]
	return to
}
