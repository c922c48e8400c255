// SPDX-License-Identifier: Apache-2.0

package erofs

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

const (
	// mostShared is how many shared attributes an inode can name.
	mostShared = 255
	// mostKnown is how many different attributes are known for being shared;
	// what comes after so many stands with its files. It bounds the memory.
	mostKnown = 1 << 16
)

// xattrs are the attributes of one file.
type xattrs struct {
	entries []string // as on the disk, padded to 4 bytes, sorted by name
	alone   int64    // how many bytes they are behind the inode where none is shared
}

func xattrsOf(x map[string]string) (xattrs, error) {
	if len(x) == 0 {
		return xattrs{}, nil
	}
	list := xattrs{alone: xattrHead}
	for _, name := range slices.Sorted(maps.Keys(x)) {
		e, err := xattrEntry(name, x[name])
		if err != nil {
			return xattrs{}, err
		}
		list.entries, list.alone = append(list.entries, e), list.alone+int64(len(e))
	}
	if list.alone > xattrHead+4*(1<<16-2) {
		return xattrs{}, fmt.Errorf("%w: %d bytes of attributes of one file", ErrUnsupported, list.alone)
	}
	return list, nil
}

// sharedXattrs are the attributes that stand once for all files that have them:
// those that several have.
type sharedXattrs struct {
	known map[[16]byte]sharedXattr
	size  int64 // of all that are shared
	used  int64 // of those, what has its place
}

// sharedXattr is one attribute.
type sharedXattr struct {
	several bool
	at      int32 // in the area, -1 while it has no place
}

func keyOf(entry string) (key [16]byte) {
	sum := sha256.Sum256([]byte(entry))
	return [16]byte(sum[:])
}

// count counts the attributes of one more file.
func (s *sharedXattrs) count(x xattrs) {
	for _, e := range x.entries {
		key := keyOf(e)
		was, known := s.known[key]
		switch {
		case !known && len(s.known) < mostKnown:
			s.known[key] = sharedXattr{at: -1}
		case known && !was.several:
			s.known[key] = sharedXattr{several: true, at: -1}
			s.size += int64(len(e))
		}
	}
}

// place parts the attributes of a file: ids are those of the shared ones, counted
// in units of 4 bytes from the block in which the area begins, shift bytes
// before it. write is given each that has not been written yet.
func (s *sharedXattrs) place(x xattrs, shift int64, write func(at int64, entry string)) (ids []uint32, inline []string) {
	for _, e := range x.entries {
		key := keyOf(e)
		known := s.known[key]
		if !known.several || len(ids) == mostShared {
			inline = append(inline, e)
			continue
		}
		if known.at < 0 {
			known.at = int32(s.used)
			s.known[key] = known
			write(s.used, e)
			s.used += int64(len(e))
		}
		ids = append(ids, uint32((shift+int64(known.at))/4))
	}
	return ids, inline
}

// appendXattrs appends what follows an inode with attributes.
func appendXattrs(to []byte, ids []uint32, inline []string) []byte {
	if len(ids)+len(inline) == 0 {
		return to
	}
	to = append(to, 0, 0, 0, 0, byte(len(ids)), 0, 0, 0, 0, 0, 0, 0)
	for _, id := range ids {
		to = binary.LittleEndian.AppendUint32(to, id)
	}
	for _, e := range inline {
		to = append(to, e...)
	}
	return to
}
