// SPDX-License-Identifier: Apache-2.0

package sortedview

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/layerctl/layerctl/layer"
)

// record is one record of a journal, or of the facts of a layer.
type record struct {
	key   []byte // the path, with NUL for each slash; empty for the root
	layer uint32
	seq   uint32 // its number in the layer
	kind  layer.Type
	// body has the attributes, or for a Hardlink the file that it is a name of.
	body []byte
}

// Kinds of records that are facts.
const (
	bareDir layer.Type = 'B' // the directory is bare
	foreign layer.Type = 'F' // a hard link into lower layers; the body is its index in View.links
)

func keyOf(path string) string {
	if path == "." {
		return ""
	}
	return strings.ReplaceAll(path, "/", "\x00")
}

func pathOf(key []byte) string {
	if len(key) == 0 {
		return "."
	}
	b := make([]byte, len(key))
	for i, c := range key {
		if c == 0 {
			c = '/'
		}
		b[i] = c
	}
	return string(b)
}

const (
	bitImplied = 1 << iota
	bitMarked
	bitReplaced
	bitXattrs
	bitFragments
)

func opaqueBits(o layer.Opaque) byte {
	switch o {
	case layer.Marked:
		return bitMarked
	case layer.Replaced:
		return bitReplaced
	}
	return 0
}

func opaqueOf(flags byte) layer.Opaque {
	switch {
	case flags&bitReplaced != 0:
		return layer.Replaced
	case flags&bitMarked != 0:
		return layer.Marked
	}
	return layer.Transparent
}

// appendBody appends an entry without its path and type.
func appendBody(b []byte, e *layer.Entry) []byte {
	flags := opaqueBits(e.Opaque)
	for _, f := range []struct {
		is  bool
		bit byte
	}{{e.Implied, bitImplied}, {len(e.Xattrs) > 0, bitXattrs}, {e.Fragments != nil, bitFragments}} {
		if f.is {
			flags |= f.bit
		}
	}
	b = append(b, flags)
	if e.Type == layer.OpaqueMark || e.Type == layer.Whiteout || e.Type == layer.Removed {
		return b
	}
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(e.UID))
	b = binary.AppendUvarint(b, uint64(e.GID))
	b = binary.AppendVarint(b, e.ModTime.Unix())
	b = binary.AppendUvarint(b, uint64(e.ModTime.Nanosecond()))
	switch e.Type {
	case layer.Regular:
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = binary.AppendUvarint(b, uint64(e.At))
	case layer.Symlink:
		b = appendString(b, e.Linkname)
	case layer.CharDevice, layer.BlockDevice:
		b = binary.AppendUvarint(b, uint64(e.Major))
		b = binary.AppendUvarint(b, uint64(e.Minor))
	}
	return appendXattrs(appendFragments(b, e.Fragments), e.Xattrs)
}

func appendFragments(b []byte, list []layer.Fragment) []byte {
	if list == nil {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, f := range list {
		b = binary.AppendUvarint(b, uint64(f.Offset))
		b = binary.AppendUvarint(b, uint64(f.Size))
	}
	return b
}

func appendXattrs(b []byte, x map[string]string) []byte {
	if len(x) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(x)))
	for _, name := range slices.Sorted(maps.Keys(x)) {
		b = appendString(appendString(b, name), x[name])
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// fields reads numbers and strings that this package itself has written, and so does
// not check them.
type fields struct{ rest []byte }

func (f *fields) uint() uint64 {
	v, n := binary.Uvarint(f.rest)
	f.rest = f.rest[max(n, 0):]
	return v
}

func (f *fields) int() int64 {
	v, n := binary.Varint(f.rest)
	f.rest = f.rest[max(n, 0):]
	return v
}

func (f *fields) bytes() []byte {
	n := min(f.uint(), uint64(len(f.rest)))
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

// entryOf returns the entry of a body, without its path.
func entryOf(kind layer.Type, body []byte) layer.Entry {
	f := fields{body[1:]}
	e := layer.Entry{Type: kind, Opaque: opaqueOf(body[0]), Implied: body[0]&bitImplied != 0}
	e.Mode, e.UID, e.GID = uint32(f.uint()), uint32(f.uint()), uint32(f.uint())
	seconds := f.int()
	e.ModTime = time.Unix(seconds, int64(f.uint()))
	switch kind {
	case layer.Regular:
		e.Size, e.At = int64(f.uint()), int64(f.uint())
	case layer.Symlink:
		e.Linkname = string(f.bytes())
	case layer.CharDevice, layer.BlockDevice:
		e.Major, e.Minor = uint32(f.uint()), uint32(f.uint())
	}
	if body[0]&bitFragments != 0 {
		for range f.uint() {
			e.Fragments = append(e.Fragments, layer.Fragment{Offset: int64(f.uint()), Size: int64(f.uint())})
		}
	}
	if body[0]&bitXattrs != 0 {
		n := f.uint()
		e.Xattrs = make(map[string]string, min(n, 16))
		for range n {
			name := string(f.bytes())
			e.Xattrs[name] = string(f.bytes())
		}
	}
	return e
}

// fileRef is a file with several names: the layer and the number of its record, its
// kind, and where its body is in [aside].
type fileRef struct {
	layer, seq uint32
	kind       layer.Type
	at         int64
}

// id returns [File.File], which is never 0.
func (r fileRef) id() uint64 { return fileID(r.layer, r.seq) }

func fileID(layer, seq uint32) uint64 { return uint64(layer+1)<<32 | uint64(seq) }

func (r fileRef) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.layer))
	b = binary.AppendUvarint(b, uint64(r.seq))
	b = append(b, byte(r.kind))
	return binary.AppendUvarint(b, uint64(r.at))
}

func refOf(body []byte) fileRef {
	f := fields{body}
	r := fileRef{layer: uint32(f.uint()), seq: uint32(f.uint())}
	r.kind = layer.Type(f.rest[0])
	f.rest = f.rest[1:]
	r.at = int64(f.uint())
	return r
}
