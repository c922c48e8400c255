// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// memory is a disk that has of each path what unpacking asks for again: its
// name, its type, a symlink's target, the number of a device, an access ACL.
// All else is taken and forgotten.
type memory struct {
	open []*inode // by descriptor; nil is free
	// keep accounts for a name, and refuses it where there are too many.
	keep func(name string, more int) error
}

// inode is what names lead to.
type inode struct {
	mode  uint32 // with the type, as in stat(2)
	dev   uint64
	link  string            // a symlink's target
	names map[string]*inode // of a directory
	acls  map[string]string // as attributes
}

// memoryRoot is the descriptor of the root of a new memory.
const memoryRoot = 0

func newMemory() *memory {
	return &memory{open: []*inode{newInode(unix.S_IFDIR)}, keep: func(string, int) error { return nil }}
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
func (m *memory) descriptor(n *inode) int {
	fd := slices.Index(m.open, nil)
	if fd < 0 {
		fd = len(m.open)
		m.open = append(m.open, nil)
	}
	m.open[fd] = n
	return fd
}

func (m *memory) find(dir int, name string) (*inode, error) {
	if len(name) > maxName {
		return nil, unix.ENAMETOOLONG
	}
	n := m.open[dir].names[name]
	if n == nil {
		return nil, unix.ENOENT
	}
	return n, nil
}

func (m *memory) openDir(dir int, name string) (fd int, err error) { return m.openBelow(dir, name) }

func (m *memory) openBelow(root int, path string) (fd int, err error) {
	n := m.open[root]
	for name := range strings.SplitSeq(path, "/") {
		n = n.names[name]
		switch {
		case n == nil:
			return -1, unix.ENOENT
		case n.mode&unix.S_IFMT == unix.S_IFLNK:
			return -1, unix.ELOOP
		case !n.isDir():
			return -1, unix.ENOTDIR
		}
	}
	return m.descriptor(n), nil
}

func (m *memory) close(fd int) error {
	m.open[fd] = nil
	return nil
}

func (m *memory) fstat(fd int) (unix.Stat_t, error) { return m.open[fd].stat(), nil }

func (m *memory) lstat(dir int, name string) (unix.Stat_t, error) {
	n, err := m.find(dir, name)
	if err != nil {
		return unix.Stat_t{}, err
	}
	return n.stat(), nil
}

func (m *memory) readlink(dir int, name string) (string, error) {
	n, err := m.find(dir, name)
	if err != nil {
		return "", err
	}
	return n.link, nil
}

func (m *memory) names(dir int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name := range maps.Keys(m.open[dir].names) {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// marked is false for all: whiteouts are devices here.
func (m *memory) marked(int, string, string) (bool, error) { return false, nil }

// put gives n a name.
func (m *memory) put(dir int, name string, n *inode) error {
	names := m.open[dir].names
	if names[name] != nil {
		return unix.EEXIST
	}
	if err := m.keep(name, len(n.link)); err != nil {
		return err
	}
	names[strings.Clone(name)] = n // else all of the path would be kept with it
	return nil
}

func (m *memory) mkdir(dir int, name string) error { return m.put(dir, name, newInode(unix.S_IFDIR)) }

func (m *memory) create(dir int, name string) (fd int, err error) {
	n := newInode(unix.S_IFREG)
	if err := m.put(dir, name, n); err != nil {
		return -1, err
	}
	return m.descriptor(n), nil
}

func (m *memory) write(int, []byte) error { return nil }

func (m *memory) writeBehind(int) {}

func (m *memory) symlink(target string, dir int, name string) error {
	n := newInode(unix.S_IFLNK)
	n.link = target
	return m.put(dir, name, n)
}

func (m *memory) link(oldDir int, oldName string, newDir int, newName string) error {
	n, err := m.find(oldDir, oldName)
	if err != nil {
		return err
	}
	return m.put(newDir, newName, n)
}

func (m *memory) mknod(dir int, name string, mode uint32, dev uint64) error {
	n := newInode(mode)
	n.dev = dev
	return m.put(dir, name, n)
}

func (m *memory) unlink(dir int, name string, _ int) error {
	if _, err := m.find(dir, name); err != nil {
		return err
	}
	delete(m.open[dir].names, name)
	return nil
}

func (m *memory) removeAll(dir int, name string) error { return m.unlink(dir, name, unix.AT_REMOVEDIR) }

func (m *memory) free(int) (int64, error) { return math.MaxInt64, nil }
