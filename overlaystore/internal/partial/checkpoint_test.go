// SPDX-License-Identifier: Apache-2.0

package partial

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/journal"
)

func TestCheckpointIsReadAsWritten(t *testing.T) {
	want := Checkpoint{
		Layer: digest.FromString("layer"), Boot: "boot", Number: 3, Journal: journal.Mark{Bytes: 10},
		Content: 7, File: []byte("a\xff\n"), State: []byte("state\nof two lines"),
	}
	raw, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeCheckpoint(append(raw, "of a longer one"...))
	if err != nil {
		t.Fatal(err)
	}
	if g, w := fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got %s, want %s", g, w)
	}
	for i := range raw {
		raw[i] ^= 1
		if _, err := decodeCheckpoint(raw); err == nil {
			t.Errorf("with byte %d changed it is read", i)
		}
		raw[i] ^= 1
	}
	for n := range raw {
		if _, err := decodeCheckpoint(raw[:n]); err == nil {
			t.Errorf("its first %d bytes are read", n)
		}
	}
}

// FuzzDecodeCheckpoint tries files of any content, and such whose sum is right.
func FuzzDecodeCheckpoint(f *testing.F) {
	raw, err := new(Checkpoint).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, true)
	f.Add(raw[headSize:], false)
	f.Fuzz(func(t *testing.T, raw []byte, whole bool) {
		if !whole {
			raw = append([]byte(sumOf(raw)), raw...)
		}
		c, err := decodeCheckpoint(raw)
		if err != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		d, err := decodeCheckpoint(again)
		if err != nil || !bytes.Equal(d.State, c.State) || d.Content != c.Content || d.Layer != c.Layer {
			t.Errorf("%+v was written as %q and is %+v, %v", c, again, d, err)
		}
	})
}
