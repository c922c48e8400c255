// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// A resumer decodes with one Reader up to a pause and with another one on.
type resumer struct {
	first, second *Reader
	buffer        *Buffer
}

func newResumer() *resumer { return &resumer{NewReader(nil), NewReader(nil), NewBuffer(1)} }

// resume decodes raw with a pause at offset and goes on from the checkpoint, as
// stored. It reports whether there was a pause.
func (r *resumer) resume(t testing.TB, raw []byte, offset int64) bool {
	t.Helper()
	z, b := r.first, r.buffer
	z.Reset(bytes.NewReader(raw))
	z.PauseAt(max(offset, 1))
	var head []byte
	var saved []byte
	for {
		p, err := z.Next(b)
		if err != nil {
			return false
		}
		head = append(head, p...)
		if c, ok := z.Checkpoint(); ok && int64(len(head)) >= offset {
			if saved, err = c.MarshalBinary(); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	want := reference(raw)
	var c Checkpoint
	if err := c.UnmarshalBinary(saved); err != nil {
		t.Fatal(err)
	}
	if c.Out != int64(len(head)) {
		t.Fatalf("checkpoint after %d bytes: got %d", len(head), c.Out)
	}
	if err := r.second.Resume(bytes.NewReader(raw[c.In:]), &c); err != nil {
		t.Fatal(err)
	}
	got := ways[0].take(r.second)
	if !bytes.Equal(append(head, got.data...), want.data) || !sameError(got.err, want.err) {
		t.Fatalf("resumed at %d.%d: got %d bytes, %v, want %d, %v",
			c.In, c.Bit, len(head)+len(got.data), got.err, len(want.data), want.err)
	}
	return true
}

func TestResume(t *testing.T) {
	var pauses int
	r := newResumer()
	seeds := rounds(60, 5)
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(2, uint64(seed)))
		raw := member(randomDeflate(rng, 10, 2000))
		if seed%2 == 1 {
			raw = append(raw, member(randomDeflate(rng, 5, 20000))...)
		}
		size := int64(len(reference(raw).data))
		for offset := range 10 {
			if r.resume(t, raw, size*int64(offset)/10) {
				pauses++
			}
		}
		hurt := slices.Clone(raw)
		hurt[len(raw)-1-rng.IntN(len(raw)/2)] ^= 4
		r.resume(t, hurt, size/4)
	}
	if pauses < 5*seeds {
		t.Errorf("got %d pauses; the test wants more than that", pauses)
	}
}

// TestResumeRefusesAnotherStream: the member's checksum covers what came before
// the checkpoint.
func TestResumeRefusesAnotherStream(t *testing.T) {
	raw := member(new(crafter).stored(false, []byte("hello ")).stored(true, []byte("world")).bytes())
	z := NewReader(bytes.NewReader(raw))
	z.PauseAt(1)
	if _, err := z.Next(NewBuffer(1)); err != nil {
		t.Fatal(err)
	}
	c, ok := z.Checkpoint()
	if !ok {
		t.Fatal("no checkpoint at a pause")
	}
	c.CRC++
	if err := z.Resume(bytes.NewReader(raw[c.In:]), c); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(z); !errors.Is(err, errChecksum) {
		t.Errorf("got %v, want %v", err, errChecksum)
	}
}

func TestCheckpointRejects(t *testing.T) {
	good := Checkpoint{In: 1, Bit: 7, Out: 5, Size: 4, Window: []byte("abcd")}
	if _, err := good.MarshalBinary(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Checkpoint){
		"negative offset":         func(c *Checkpoint) { c.In = -1 },
		"bit of the next byte":    func(c *Checkpoint) { c.Bit = 8 },
		"negative size":           func(c *Checkpoint) { c.Size = -1 },
		"member above the stream": func(c *Checkpoint) { c.Out = 3 },
		"window too short":        func(c *Checkpoint) { c.Window = c.Window[:3] },
		"window too long":         func(c *Checkpoint) { c.Window = make([]byte, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			if _, err := c.MarshalBinary(); !errors.Is(err, ErrCheckpoint) {
				t.Errorf("got %v, want %v", err, ErrCheckpoint)
			}
			if err := NewReader(nil).Resume(nil, &c); !errors.Is(err, ErrCheckpoint) {
				t.Errorf("got %v, want %v", err, ErrCheckpoint)
			}
		})
	}
	b, _ := good.MarshalBinary()
	for i := range b {
		b[i] ^= 1
		if err := new(Checkpoint).UnmarshalBinary(b); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("byte %d changed: got %v, want %v", i, err, ErrCheckpoint)
		}
		b[i] ^= 1
		if err := new(Checkpoint).UnmarshalBinary(b[:i]); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("cut at %d: got %v, want %v", i, err, ErrCheckpoint)
		}
	}
}

// TestNoCheckpointBeforeRead: what Read holds back is behind the checkpoint.
func TestNoCheckpointBeforeRead(t *testing.T) {
	z := NewReader(bytes.NewReader(member(new(crafter).stored(false, []byte("ab")).stored(true, nil).bytes())))
	z.PauseAt(1)
	for want := range 2 {
		if _, err := z.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if _, ok := z.Checkpoint(); ok != (want == 1) {
			t.Errorf("after %d bytes: got %v", want+1, ok)
		}
	}
}

func TestNoCheckpointInside(t *testing.T) {
	z := NewReader(bytes.NewReader(member(new(crafter).stored(true, make([]byte, 9000)).bytes())))
	if _, ok := z.Checkpoint(); ok {
		t.Error("got a checkpoint before the header")
	}
	if _, err := z.Next(NewBuffer(1)); err != nil {
		t.Fatal(err)
	}
	if _, ok := z.Checkpoint(); ok {
		t.Error("got a checkpoint inside a block")
	}
	if _, err := io.Copy(io.Discard, z); err != nil {
		t.Fatal(err)
	}
	if _, ok := z.Checkpoint(); ok {
		t.Error("got a checkpoint at the end")
	}
}
