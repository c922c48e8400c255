// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory is a disk that has of each path what unpacking asks for again: its
// name, its type, a symlink's target, the number of a device, an access ACL.
// All else is taken and forgotten.
type Memory struct {
	// Keep is asked before a name is kept, with the bytes that are kept with it;
	// its error refuses the name.
	Keep func(name string, more int) error
	open []*inode // by descriptor; nil is free
}

// inode is what names lead to.
type inode struct {
	mode  uint32 // with the type, as in stat(2)
	dev   uint64
	link  string            // a symlink's target
	names map[string]*inode // of a directory
	acls  map[string]string // as attributes
}

// MemoryRoot is the descriptor of a new Memory's root.
const MemoryRoot = 0

// NewMemory is a disk with an empty root.
func NewMemory() *Memory {
	return &Memory{open: []*inode{newInode(unix.S_IFDIR)}, Keep: func(string, int) error { return nil }}
}

func newInode(mode uint32) *inode {
	n := &inode{mode: mode}
	if n.isDir() {
		n.names = make(map[string]*inode)
	}
	return n
}

func (n *inode) isDir() bool { return n.mode&unix.S_IFMT == unix.S_IFDIR }

func (n *inode) stat() unix.Stat_t {
	var st unix.Stat_t
	st.Mode = n.mode
	setUint(&st.Rdev, n.dev)
	return st
}

// setUint sets a field that is not of the same size on all machines.
func setUint[T uint32 | uint64](to *T, n uint64) { *to = T(n) }

// descriptor opens what was found.
func (m *Memory) descriptor(n *inode) int {
	fd := slices.Index(m.open, nil)
	if fd < 0 {
		fd = len(m.open)
		m.open = append(m.open, nil)
	}
	m.open[fd] = n
	return fd
}

func (m *Memory) find(dir int, name string) (*inode, error) {
	if len(name) > nameMax {
		return nil, unix.ENAMETOOLONG
	}
	n := m.open[dir].names[name]
	if n == nil {
		return nil, unix.ENOENT
	}
	return n, nil
}

func (m *Memory) OpenDir(dir int, name string) (fd int, err error) { return m.OpenBelow(dir, name) }

func (m *Memory) OpenBelow(root int, path string) (fd int, err error) {
	n := m.open[root]
	for rest, more := path, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		n = n.names[name]
		switch {
		case n == nil:
			return -1, unix.ENOENT
		case more && n.mode&unix.S_IFMT == unix.S_IFLNK:
			return -1, unix.ELOOP
		case !n.isDir():
			return -1, unix.ENOTDIR
		}
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
	return n.link, nil
}

func (m *Memory) Names(dir int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name := range maps.Keys(m.open[dir].names) {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// HasXattr is false for all: whiteouts are devices here.
func (m *Memory) HasXattr(int, string, string) (bool, error) { return false, nil }

// put gives n a name.
func (m *Memory) put(dir int, name string, n *inode) error {
	names := m.open[dir].names
	if names[name] != nil {
		return unix.EEXIST
	}
	if err := m.Keep(name, len(n.link)); err != nil {
		return err
	}
	names[strings.Clone(name)] = n // else all of the path would be kept with it
	return nil
}

func (m *Memory) Mkdir(dir int, name string) error { return m.put(dir, name, newInode(unix.S_IFDIR)) }

func (m *Memory) Create(dir int, name string) (fd int, err error) {
	n := newInode(unix.S_IFREG)
	if err := m.put(dir, name, n); err != nil {
		return -1, err
	}
	return m.descriptor(n), nil
}

func (m *Memory) Write(int, []byte) error { return nil }

func (m *Memory) WriteHole(int, int64) error { return nil }

func (m *Memory) WriteBehind(int) {}

func (m *Memory) Symlink(target string, dir int, name string) error {
	n := newInode(unix.S_IFLNK)
	n.link = target
	return m.put(dir, name, n)
}

func (m *Memory) Link(oldDir int, oldName string, newDir int, newName string) error {
	n, err := m.find(oldDir, oldName)
	if err != nil {
		return err
	}
	return m.put(newDir, newName, n)
}

func (m *Memory) Mknod(dir int, name string, mode uint32, dev uint64) error {
	n := newInode(mode)
	n.dev = dev
	return m.put(dir, name, n)
}

func (m *Memory) Unlink(dir int, name string, _ int) error {
	if _, err := m.find(dir, name); err != nil {
		return err
	}
	delete(m.open[dir].names, name)
	return nil
}

func (m *Memory) RemoveAll(dir int, name string) error { return m.Unlink(dir, name, unix.AT_REMOVEDIR) }

func (m *Memory) Free(int) (int64, error) { return math.MaxInt64, nil }
