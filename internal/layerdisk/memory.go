// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"iter"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory is a disk that has of each path what unpacking asks for again: its
// name, its type, a symlink's target, a directory's ACLs; of whiteouts which there
// are in a directory. All else is taken and forgotten.
type Memory struct {
	// Keep is asked when so many more bytes are kept; its error refuses the name.
	Keep func(bytes int64) error

	names     names
	dirs      uint32                       // directories that were made
	links     []string                     // targets of symlinks
	acls      map[uint32]map[string]string // of directories, as attributes
	whiteouts map[uint32][]string          // names by directory, with those that are gone
	open      []*opened                    // by descriptor; nil is free
}

// opened is an open file or directory.
type opened struct {
	node
	acls map[string]string
}

// node is what a name leads to: its kind, and above that the number of a
// directory or of a symlink's target.
type node uint32

const (
	kindBits       = 3
	kindMask       = 1<<kindBits - 1
	removed   node = 1<<32 - 1
	whiteout  node = 7 // a character device 0:0
	directory node = 2
	symlink   node = 3
)

// mode is the type of stat(2).
func (n node) mode() uint32 {
	return [...]uint32{0, unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, unix.S_IFIFO, unix.S_IFCHR, unix.S_IFBLK, unix.S_IFCHR}[n&kindMask]
}

// newNode is a node of a type that has no number.
func newNode(mode uint32, dev uint64) (node, error) {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 1, nil
	case unix.S_IFIFO:
		return 4, nil
	case unix.S_IFCHR:
		if dev == 0 {
			return whiteout, nil
		}
		return 5, nil
	case unix.S_IFBLK:
		return 6, nil
	}
	return 0, unix.EINVAL
}

func (n node) is(kind node) bool { return n&kindMask == kind }

func (n node) number() uint32 { return uint32(n >> kindBits) }

// MemoryRoot is the descriptor of a new Memory's root.
const MemoryRoot = 0

// NewMemory is a disk with an empty root. Release it.
func NewMemory() *Memory {
	return &Memory{
		open: []*opened{{node: directory}}, Keep: func(int64) error { return nil },
		names: newNames(), acls: map[uint32]map[string]string{}, whiteouts: map[uint32][]string{},
	}
}

// Release gives the memory back.
func (m *Memory) Release() { m.names.free() }

func (n node) stat() unix.Stat_t {
	var st unix.Stat_t
	st.Mode = n.mode()
	if n.is(5) {
		setUint(&st.Rdev, 1) // any but a whiteout's
	}
	return st
}

// setUint sets a field that is not of the same size on all machines.
func setUint[T uint32 | uint64](to *T, n uint64) { *to = T(n) }

// descriptor opens what was found.
func (m *Memory) descriptor(n node) int {
	fd := slices.Index(m.open, nil)
	if fd < 0 {
		fd = len(m.open)
		m.open = append(m.open, nil)
	}
	m.open[fd] = &opened{node: n}
	if n.is(directory) {
		m.open[fd].acls = m.acls[n.number()]
	}
	return fd
}

func (m *Memory) find(dir int, name string) (node, error) {
	if len(name) > nameMax {
		return 0, unix.ENAMETOOLONG
	}
	n := m.names.find(m.open[dir].number(), name)
	if n == nil {
		return 0, unix.ENOENT
	}
	return *n, nil
}

func (m *Memory) OpenDir(dir int, name string) (fd int, err error) { return m.OpenBelow(dir, name) }

func (m *Memory) OpenBelow(root int, path string) (fd int, err error) {
	n := m.open[root].node
	for rest, more := path, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		next := m.names.find(n.number(), name)
		switch {
		case next == nil:
			return -1, unix.ENOENT
		case more && next.is(symlink):
			return -1, unix.ELOOP
		case !next.is(directory):
			return -1, unix.ENOTDIR
		}
		n = *next
	}
	return m.descriptor(n), nil
}

func (m *Memory) Close(fd int) error {
	m.open[fd] = nil
	return nil
}

func (m *Memory) Fstat(fd int) (unix.Stat_t, error) { return m.open[fd].stat(), nil }

func (m *Memory) Lstat(dir int, name string) (unix.Stat_t, error) {
	n, err := m.find(dir, name)
	if err != nil {
		return unix.Stat_t{}, err
	}
	return n.stat(), nil
}

func (m *Memory) Readlink(dir int, name string) (string, error) {
	n, err := m.find(dir, name)
	if err != nil {
		return "", err
	}
	if !n.is(symlink) {
		return "", unix.EINVAL
	}
	return m.links[n.number()], nil
}

// Names are whiteouts only: nothing else is asked for.
func (m *Memory) Names(dir int) iter.Seq2[string, error] {
	number := m.open[dir].number()
	return func(yield func(string, error) bool) {
		for _, name := range m.whiteouts[number] {
			if n := m.names.find(number, name); n != nil && n.is(whiteout) && !yield(name, nil) {
				return
			}
		}
	}
}

// HasXattr is false for all: whiteouts are devices here.
func (m *Memory) HasXattr(int, string, string) (bool, error) { return false, nil }

// put gives what n makes a name.
func (m *Memory) put(dir int, name string, more int, n func() (node, error)) error {
	in := m.open[dir].number()
	if m.names.find(in, name) != nil {
		return unix.EEXIST
	}
	made, err := n()
	if err != nil {
		return err
	}
	if made.is(whiteout) {
		more += len(name) + 16
	}
	before := m.names.bytes
	if err := m.names.add(in, name, made); err != nil {
		return err
	}
	if more += int(m.names.bytes - before); more > 0 {
		if err := m.Keep(int64(more)); err != nil {
			return err
		}
	}
	if made.is(whiteout) {
		m.whiteouts[in] = append(m.whiteouts[in], strings.Clone(name))
	}
	return nil
}

func (m *Memory) Mkdir(dir int, name string) error {
	return m.put(dir, name, 0, func() (node, error) {
		m.dirs++
		return directory | node(m.dirs)<<kindBits, nil
	})
}

func (m *Memory) Create(dir int, name string) (fd int, err error) {
	if err := m.Mknod(dir, name, unix.S_IFREG, 0); err != nil {
		return -1, err
	}
	return m.descriptor(1), nil
}

func (m *Memory) Write(int, []byte) error { return nil }

func (m *Memory) WriteHole(int, int64) error { return nil }

func (m *Memory) WriteBehind(int) {}

func (m *Memory) Symlink(target string, dir int, name string) error {
	return m.put(dir, name, len(target)+24, func() (node, error) {
		m.links = append(m.links, strings.Clone(target))
		return symlink | node(len(m.links)-1)<<kindBits, nil
	})
}

func (m *Memory) Link(oldDir int, oldName string, newDir int, newName string) error {
	n, err := m.find(oldDir, oldName)
	if err != nil {
		return err
	}
	return m.put(newDir, newName, 0, func() (node, error) { return n, nil })
}

func (m *Memory) Mknod(dir int, name string, mode uint32, dev uint64) error {
	return m.put(dir, name, 0, func() (node, error) { return newNode(mode, dev) })
}

func (m *Memory) Unlink(dir int, name string, _ int) error {
	n := m.names.find(m.open[dir].number(), name)
	if n == nil {
		return unix.ENOENT
	}
	*n = removed
	return nil
}

func (m *Memory) RemoveAll(dir int, name string) error { return m.Unlink(dir, name, unix.AT_REMOVEDIR) }

func (m *Memory) Free(int) (int64, error) { return math.MaxInt64, nil }
