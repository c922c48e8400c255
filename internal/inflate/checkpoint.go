// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A Checkpoint is the state of a Reader between two blocks of a member. With it a
// Reader can decompress the rest of the stream.
type Checkpoint struct {
	// In is the offset in the compressed stream of the byte with the next bit,
	// and Bit how many bits of that byte, 0 to 7, belong to what came before.
	In  int64
	Bit uint8
	// Out counts the bytes decompressed before this place: in the stream, and
	// Size in its member.
	Out, Size int64
	// CRC is the CRC-32 of the Size bytes of the member.
	CRC uint32
	// Window is the last of them, as many as there are up to 32 KiB.
	Window []byte
}

// ErrCheckpoint is a checkpoint that no Reader can have made.
var ErrCheckpoint = errors.New("invalid checkpoint")

// PauseAt makes Next return early, once: at the first start of a block that is at
// least offset bytes into the decompressed stream. There Checkpoint returns a state.
// Next pauses only after it has returned data. An offset of zero cancels the pause.
func (z *Reader) PauseAt(offset int64) { z.pause = offset }

// paused reports whether Next is to return for a pause.
func (z *Reader) paused(o *output) bool {
	if z.pause <= 0 || z.step != atBlock || o.op == windowSize {
		return false
	}
	if z.out+int64(o.op-windowSize) < z.pause {
		return false
	}
	z.pause = 0
	return true
}

// Checkpoint returns the state of z. It reports false unless z is between two blocks
// and Read has handed out all data before; PauseAt stops z at such a place.
func (z *Reader) Checkpoint() (*Checkpoint, bool) {
	if z.step != atBlock || z.err != nil || len(z.unread) > 0 {
		return nil, false
	}
	z.in.align()
	c := &Checkpoint{In: z.in.offset(), Out: z.out, Size: z.size, CRC: z.crc}
	if z.in.count > 0 {
		c.In--
		c.Bit = uint8(8 - z.in.count)
	}
	kept := min(z.size, windowSize)
	c.Window = append(c.Window, z.window[windowSize-kept:]...)
	return c, true
}

// Resume makes z a Reader that continues at a checkpoint; r is the stream from its
// byte c.In on. Offsets in errors count from the start of the stream. A checkpoint
// that no Reader can have made is ErrCheckpoint. A wrong window or checksum in it
// fails at the end of the member, if not before.
func (z *Reader) Resume(r io.Reader, c *Checkpoint) error {
	if err := c.check(); err != nil {
		return err
	}
	z.Reset(r)
	z.in.base = c.In
	z.skip = uint(c.Bit)
	z.step = atResume
	z.out, z.size, z.crc = c.Out, c.Size, c.CRC
	copy(z.window[windowSize-len(c.Window):], c.Window)
	return nil
}

// skipBits skips the bits of the first byte that come before the checkpoint.
func (z *Reader) skipBits() error {
	if !z.in.want(z.skip) {
		return z.in.missing()
	}
	z.in.drop(z.skip)
	z.step = atBlock
	return nil
}

// check rejects a checkpoint that no Reader can have made.
func (c *Checkpoint) check() error {
	switch {
	case c.In < 0 || c.Bit > 7:
		return fmt.Errorf("%w: place %d.%d", ErrCheckpoint, c.In, c.Bit)
	case c.Size < 0 || c.Out < c.Size:
		return fmt.Errorf("%w: %d bytes of a member in %d", ErrCheckpoint, c.Size, c.Out)
	case int64(len(c.Window)) != min(c.Size, windowSize):
		return fmt.Errorf("%w: window of %d bytes after %d", ErrCheckpoint, len(c.Window), c.Size)
	}
	return nil
}

// A stored checkpoint is, little endian: magic, In, Out and Size with 8 bytes
// each, CRC with 4, Bit with 1, the window, and the CRC-32 of all that.
const (
	checkpointMagic = "inflate1"
	checkpointFixed = len(checkpointMagic) + 3*8 + 4 + 1
)

// MarshalBinary implements encoding.BinaryMarshaler: at most 33 KiB.
func (c *Checkpoint) MarshalBinary() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, checkpointFixed+len(c.Window)+4)
	b = append(b, checkpointMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.In))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Out))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Size))
	b = binary.LittleEndian.AppendUint32(b, c.CRC)
	b = append(b, c.Bit)
	b = append(b, c.Window...)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Its errors are
// ErrCheckpoint.
func (c *Checkpoint) UnmarshalBinary(b []byte) error {
	if len(b) < checkpointFixed+4 || string(b[:len(checkpointMagic)]) != checkpointMagic {
		return fmt.Errorf("%w: %d bytes of another format", ErrCheckpoint, len(b))
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if binary.LittleEndian.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return fmt.Errorf("%w: checksum mismatch", ErrCheckpoint)
	}
	f := body[len(checkpointMagic):]
	got := Checkpoint{
		In:     int64(binary.LittleEndian.Uint64(f)),
		Out:    int64(binary.LittleEndian.Uint64(f[8:])),
		Size:   int64(binary.LittleEndian.Uint64(f[16:])),
		CRC:    binary.LittleEndian.Uint32(f[24:]),
		Bit:    f[28],
		Window: append([]byte(nil), f[29:]...),
	}
	if err := got.check(); err != nil {
		return err
	}
	*c = got
	return nil
}
