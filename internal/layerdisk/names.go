// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"
)

// names says which node a directory has at a name, for a million of them in 20
// MiB: a name and its directory are kept as 96 bits of hashes with seeds that
// nobody knows. That two of five million are taken for one has a chance of one in
// 10^15.
type names struct {
	seeds [2]maphash.Seed
	parts []part
	count int
	bytes int64
}

// slot is one name. A node of 0 is a slot that was never used.
type slot struct {
	high uint64
	low  uint32
	node node
}

// part is a table of its own, so that few slots are moved at a time.
type part struct {
	slots  []slot
	used   int    // with those of names that were removed
	mapped []byte // slots, where they are not in Go's memory
}

const (
	slotBytes  = int64(unsafe.Sizeof(slot{}))
	manyNames  = 4096 // from which on there are several parts
	manyParts  = 64
	leastSlots = 16
	// mapFrom is how many slots are taken from the kernel: those the garbage
	// collector need not know, which would let the memory double before it looks.
	mapFrom = 4096
)

func newNames() names {
	return names{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, parts: make([]part, 1)}
}

func (n *names) hash(dir uint32, name string) slot {
	var buf [4 + nameMax]byte
	binary.LittleEndian.PutUint32(buf[:], dir)
	b := buf[:4+copy(buf[4:], name)]
	return slot{high: maphash.Bytes(n.seeds[0], b), low: uint32(maphash.Bytes(n.seeds[1], b))}
}

func (n *names) part(s slot) *part { return &n.parts[int(s.low)&(len(n.parts)-1)] }

// find is the place of what has the name; nil where nothing has. It is valid
// until the next add.
func (n *names) find(dir uint32, name string) *node {
	s := n.hash(dir, name)
	p := n.part(s)
	if p.slots == nil {
		return nil
	}
	for i := p.home(s); p.slots[i].node != 0; i = p.next(i) {
		if at := &p.slots[i]; at.high == s.high && at.low == s.low && at.node != removed {
			return &at.node
		}
	}
	return nil
}

// home is where a name belongs, and next where it goes when that is taken.
func (p *part) home(s slot) int {
	high, _ := bits.Mul64(s.high, uint64(len(p.slots)))
	return int(high)
}

func (p *part) next(i int) int {
	if i++; i == len(p.slots) {
		return 0
	}
	return i
}

// add adds a name that nothing has.
func (n *names) add(dir uint32, name string, to node) error {
	if n.count++; n.count == manyNames && len(n.parts) == 1 {
		if err := n.split(); err != nil {
			return err
		}
	}
	s := n.hash(dir, name)
	s.node = to
	return n.insert(s)
}

func (n *names) insert(s slot) error {
	p := n.part(s)
	if p.used >= len(p.slots)/8*7 {
		if err := n.grow(p); err != nil {
			return err
		}
	}
	p.put(s)
	return nil
}

func (p *part) put(s slot) {
	i := p.home(s)
	for p.slots[i].node != 0 {
		i = p.next(i)
	}
	p.slots[i] = s
	p.used++
}

// grow gives a part a quarter more slots.
func (n *names) grow(p *part) error {
	old := *p
	if err := p.make((len(old.slots) + max(len(old.slots)/4, leastSlots)) &^ 7); err != nil {
		*p = old
		return err
	}
	n.bytes += int64(len(p.slots)-len(old.slots)) * slotBytes
	for _, s := range old.slots {
		if s.node != 0 && s.node != removed {
			p.put(s)
		}
	}
	return old.free()
}

// split makes many parts of one.
func (n *names) split() error {
	old := n.parts[0]
	n.parts, n.bytes = make([]part, manyParts), 0
	for _, s := range old.slots {
		if s.node == 0 || s.node == removed {
			continue
		}
		if err := n.insert(s); err != nil {
			return err
		}
	}
	return old.free()
}

func (p *part) make(slots int) (err error) {
	*p = part{}
	if slots < mapFrom {
		p.slots = make([]slot, slots)
		return nil
	}
	p.mapped, err = unix.Mmap(-1, 0, slots*int(slotBytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	p.slots = unsafe.Slice((*slot)(unsafe.Pointer(unsafe.SliceData(p.mapped))), slots)
	return nil
}

func (p *part) free() error {
	mapped := p.mapped
	*p = part{}
	if mapped == nil {
		return nil
	}
	return unix.Munmap(mapped)
}

// free gives the memory back.
func (n *names) free() {
	for i := range n.parts {
		_ = n.parts[i].free() // of what was mapped here it cannot fail
	}
	*n = newNames()
}
