// SPDX-License-Identifier: Apache-2.0

// Package saved is the state of a layer that is being unpacked, between two
// entries of its tar or inside a file, as a checkpoint has it.
package saved

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerstream"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack/internal/dirstate"
)

// State is what was made so far and is not to be seen on the disk. Paths are
// bytes: JSON's strings hold only UTF-8.
type State struct {
	Version int
	// Options are those of the unpacking, as a text to compare.
	Options string
	Stream  layerstream.Mark
	Tar     layertar.Place
	File    *File `json:",omitempty"` // that is being written
	Dirs    []dirstate.Saved
	Links   []Pair // foreign hard links: path and target
	Skipped [][]byte
	Stored  bool
	Notes   []Note
	// The counts of the limits and of the result.
	Entries, Recorded, Holes, Files, Content int64
}

// Pair is two names, or a name and a value.
type Pair [2][]byte

// Note is one kind of leniency.
type Note struct {
	Key     string
	Count   int64
	Example string
}

// File is a regular file of which Written bytes are there, with the CRC-32C Sum.
type File struct {
	Path           []byte
	Mode, UID, GID uint32
	Seconds, Nanos int64
	Size, Written  int64
	Sum            uint32
	Xattrs         []Pair
	AboveGID       uint32
}

// Pairs are those of a map, in the order of their names.
func Pairs(m map[string]string) (list []Pair) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, Pair{[]byte(name), []byte(m[name])})
	}
	return list
}

// Map puts pairs into a map that was made, or into a new one where there are some.
func Map(m map[string]string, list []Pair) map[string]string {
	for _, p := range list {
		if m == nil {
			m = make(map[string]string, len(list))
		}
		m[string(p[0])] = string(p[1])
	}
	return m
}

// FileOf is a file of which left bytes are missing.
func FileOf(e *layer.Entry, left int64, sum, aboveGID uint32) *File {
	return &File{
		Path: []byte(e.Path), Mode: e.Mode, UID: e.UID, GID: e.GID, Seconds: e.ModTime.Unix(), Nanos: int64(e.ModTime.Nanosecond()),
		Size: e.Size, Written: e.Size - left, Sum: sum, AboveGID: aboveGID, Xattrs: Pairs(e.Xattrs),
	}
}

// Name is its path, "" of no file.
func (f *File) Name() string {
	if f == nil {
		return ""
	}
	return string(f.Path)
}

// Entry is the file as the journal will have it, but for its sum.
func (f *File) Entry() layer.Entry {
	return layer.Entry{
		Path: string(f.Path), Type: layer.Regular, Mode: f.Mode, UID: f.UID, GID: f.GID,
		ModTime: time.Unix(f.Seconds, f.Nanos), Size: f.Size, Xattrs: Map(nil, f.Xattrs),
	}
}

// version is that of the encoding and of what it means.
const version = 1

// most bounds an encoded state in bytes.
const most = 16 << 20

// errState is what no unpacking has saved.
var errState = errors.New("the state of the unpacking makes no sense")

// Encode is s as bytes; nil where that is more than most.
func Encode(s *State) ([]byte, error) {
	s.Version = version
	raw, err := json.Marshal(s)
	if len(raw) > most {
		return nil, err
	}
	return raw, err
}

// Decode reads what Encode made. It believes nothing that it can check.
func Decode(raw []byte) (*State, error) {
	if len(raw) > most {
		return nil, errState
	}
	s := new(State)
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil || d.More() {
		return nil, errState
	}
	if !s.sound() {
		return nil, errState
	}
	return s, nil
}

func (s *State) sound() bool {
	m := &s.Stream
	if s.Version != version || m.Blob < 0 || m.Out < 0 || m.Skip < 0 || m.In < m.Blob || m.Out > math.MaxInt64-m.Skip || s.Tar.Offset != m.Out+m.Skip {
		return false
	}
	for _, n := range []int64{s.Entries, s.Recorded, s.Holes, s.Files, s.Content} {
		if n < 0 {
			return false
		}
	}
	for _, d := range s.Dirs {
		if !clean(d.Path) {
			return false
		}
	}
	for _, l := range s.Links {
		if !clean(l[0]) || !clean(l[1]) {
			return false
		}
	}
	return s.File == nil && s.Tar.Left == 0 || s.File != nil && s.File.sound(s.Tar)
}

func (f *File) sound(at layertar.Place) bool {
	return clean(f.Path) && string(f.Path) != "." && f.Written >= 0 && f.Size >= f.Written && at.Left == f.Size-f.Written &&
		f.Nanos >= 0 && f.Nanos < 1e9 && f.Mode <= 0o7777
}

// clean is a path as the layer's journal has them: "." or below it.
func clean(b []byte) bool {
	p := string(b)
	return p != "" && len(p) <= entryname.MaxPath && path.Clean(p) == p && p[0] != '/' && p != ".." && !strings.HasPrefix(p, "../") && !strings.Contains(p, "\x00")
}
