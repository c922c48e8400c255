// SPDX-License-Identifier: Apache-2.0

package saved

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/layerctl/layerctl/internal/layerstream"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack/internal/dirstate"
)

func state() *State {
	return &State{
		Options: "o", Stream: layerstream.Mark{Blob: 10, BlobState: []byte("b"), In: 12, Out: 1000, TarState: []byte("t"), Skip: 24, SkipSum: []byte("s")},
		Tar:  layertar.Place{Offset: 1024, Left: 3, Header: layertar.Header{Name: "a\xff", Size: 8}},
		File: &File{Path: []byte("a\xff"), Mode: 0o644, Size: 8, Written: 5, Xattrs: []Pair{{[]byte("user.x"), {0, 0xff}}}},
		Dirs: []dirstate.Saved{{Path: []byte("d"), Implied: true, Opaque: layer.Marked}}, Links: []Pair{{[]byte("l"), []byte("t/\xfe")}},
		Skipped: [][]byte{[]byte("dev")}, Notes: []Note{{"n", 3, "x"}}, Entries: 5,
	}
}

func TestStateComesBack(t *testing.T) {
	raw, err := Encode(state())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(raw)
	want := state()
	want.Version = version
	want.Tar.Header.Name = got.Tar.Header.Name // for messages only
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhatIsNoState(t *testing.T) {
	for name, change := range map[string]func(*State){
		"offset":             func(s *State) { s.Stream.Blob = -1 },
		"before the blob":    func(s *State) { s.Stream.In = 9 },
		"another place":      func(s *State) { s.Tar.Offset++ },
		"overflow":           func(s *State) { s.Stream.Out = 1<<63 - 1 },
		"count":              func(s *State) { s.Entries = -1 },
		"file outside":       func(s *State) { s.File.Path = []byte("../a") },
		"file is the root":   func(s *State) { s.File.Path = []byte(".") },
		"file that is whole": func(s *State) { s.File.Written = 9 },
		"left":               func(s *State) { s.Tar.Left = 4 },
		"left of no file":    func(s *State) { s.File = nil },
		"mode":               func(s *State) { s.File.Mode = 1 << 20 },
		"directory outside":  func(s *State) { s.Dirs[0].Path = []byte("/etc") },
		"link outside":       func(s *State) { s.Links[0][1] = []byte("a/../../b") },
	} {
		s := state()
		change(s)
		raw, err := Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(raw); err != errState {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw, _ := Encode(state())
	for i := range raw {
		if _, err := Decode(raw[:i]); err != errState {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := Decode(bytes.Replace(raw, []byte(`"Version":1`), []byte(`"Version":2`), 1)); err != errState {
		t.Errorf("another version: %v", err)
	}
}

func FuzzState(f *testing.F) {
	raw, err := Encode(state())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"Version":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Decode(raw)
		if err != nil {
			return
		}
		again, err := Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil && len(again) > 0 {
			t.Errorf("read, but not again: %v", err)
		}
	})
}
