// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/layerctl/layerctl/internal/layerstream"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack/internal/dirstate"
	"github.com/layerctl/layerctl/unpack/internal/saved"
)

func state() *saved.State {
	return &saved.State{
		Options: "o", Stream: layerstream.Mark{Blob: 10, BlobState: []byte("b"), In: 12, Out: 1000, TarState: []byte("t"), Skip: 24, SkipSum: []byte("s")},
		Tar:  layertar.Place{Offset: 1024, Left: 3, Header: layertar.Header{Name: "a\xff", Size: 8}},
		File: &saved.File{Path: []byte("a\xff"), Mode: 0o644, Size: 8, Written: 5, Xattrs: []saved.Pair{{[]byte("user.x"), {0, 0xff}}}},
		Dirs: []dirstate.Saved{{Path: []byte("d"), Implied: true, Opaque: layer.Marked}}, Links: []saved.Pair{{[]byte("l"), []byte("t/\xfe")}},
		Skipped: [][]byte{[]byte("dev")}, Notes: []saved.Note{{Key: "n", Count: 3, Example: "x"}}, Entries: 5,
	}
}

func TestStateComesBack(t *testing.T) {
	raw, err := saved.Encode(state())
	if err != nil {
		t.Fatal(err)
	}
	got, err := saved.Decode(raw)
	want := state()
	want.Version = 1
	want.Tar.Header.Name = got.Tar.Header.Name // for messages only
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// isNoState says whether err is what Decode says of every such text.
func isNoState(err error) bool {
	return err != nil && err.Error() == "the state of the unpacking makes no sense"
}

func TestWhatIsNoState(t *testing.T) {
	for name, change := range map[string]func(*saved.State){
		"offset":             func(s *saved.State) { s.Stream.Blob = -1 },
		"before the blob":    func(s *saved.State) { s.Stream.In = 9 },
		"another place":      func(s *saved.State) { s.Tar.Offset++ },
		"overflow":           func(s *saved.State) { s.Stream.Out = 1<<63 - 1 },
		"count":              func(s *saved.State) { s.Entries = -1 },
		"file outside":       func(s *saved.State) { s.File.Path = []byte("../a") },
		"file is the root":   func(s *saved.State) { s.File.Path = []byte(".") },
		"file that is whole": func(s *saved.State) { s.File.Written = 9 },
		"left":               func(s *saved.State) { s.Tar.Left = 4 },
		"left of no file":    func(s *saved.State) { s.File = nil },
		"mode":               func(s *saved.State) { s.File.Mode = 1 << 20 },
		"directory outside":  func(s *saved.State) { s.Dirs[0].Path = []byte("/etc") },
		"link outside":       func(s *saved.State) { s.Links[0][1] = []byte("a/../../b") },
	} {
		s := state()
		change(s)
		raw, err := saved.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := saved.Decode(raw); !isNoState(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw, _ := saved.Encode(state())
	for i := range raw {
		if _, err := saved.Decode(raw[:i]); !isNoState(err) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := saved.Decode(bytes.Replace(raw, []byte(`"Version":1`), []byte(`"Version":2`), 1)); !isNoState(err) {
		t.Errorf("another version: %v", err)
	}
}

func FuzzState(f *testing.F) {
	raw, err := saved.Encode(state())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"Version":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := saved.Decode(raw)
		if err != nil {
			return
		}
		again, err := saved.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := saved.Decode(again); err != nil && len(again) > 0 {
			t.Errorf("read, but not again: %v", err)
		}
	})
}
