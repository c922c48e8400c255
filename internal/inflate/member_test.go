// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// headed is a member with the given flags and fields between the fixed part of
// its header and its data.
func headed(flags byte, fields string, crc bool) []byte {
	b := append([]byte{0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 5, 6}, fields...)
	if crc {
		b = binary.LittleEndian.AppendUint16(b, uint16(crc32.ChecksumIEEE(b)))
	}
	return append(b, member(new(crafter).stored(true, []byte("data")).bytes())[10:]...)
}

// TestHeaders compares every header, whole and cut at each byte, alone and
// behind another member.
func TestHeaders(t *testing.T) {
	extra := "\x05\x00extra"
	largest := "\xff\xff" + strings.Repeat("e", 0xffff)
	z := NewReader(nil)
	for name, raw := range map[string][]byte{
		"plain":               headed(0, "", false),
		"text flag":           headed(1, "", false),
		"reserved flags":      headed(0xe0, "", false),
		"extra":               headed(4, extra, false),
		"largest extra":       headed(4, largest, false),
		"name":                headed(8, "name\x00", false),
		"latin-1 name":        headed(8, "n\xe4me\x00", false),
		"longest name":        headed(8, strings.Repeat("n", 511)+"\x00", false),
		"name too long":       headed(8, strings.Repeat("n", 512)+"\x00", false),
		"comment":             headed(16, "comment\x00", false),
		"comment too long":    headed(16, strings.Repeat("c", 512)+"\x00", false),
		"all with checksum":   headed(30, extra+"name\x00comment\x00", true),
		"all, large, summed":  headed(30, largest+"name\x00comment\x00", true),
		"wrong checksum":      headed(2, "xx", false),
		"another method":      append([]byte{0x1f, 0x8b, 7}, headed(0, "", false)[3:]...),
		"another magic":       append([]byte{0x1f, 0x8c}, headed(0, "", false)[2:]...),
		"not gzip at all":     []byte("hello, this is text"),
		"not gzip, and short": []byte("hello"),
	} {
		t.Run(name, func(t *testing.T) {
			differ(t, z, raw, ways...)
			step := max(1, len(raw)/rounds(500, 25))
			for n := 0; n < len(raw); n += step {
				differ(t, z, raw[:n], ways[0], ways[1])
			}
			differ(t, z, append(headed(0, "", false), raw...), ways...)
		})
	}
}

func TestBehindMembers(t *testing.T) {
	one := headed(0, "", false)
	end := int64(len(one))
	zeros := string(make([]byte, 300_000))
	z := NewReader(nil)
	for _, c := range []struct {
		name, rest string
		want       error
	}{
		{"nothing", "", io.EOF},
		{"one zero", "\x00", io.EOF},
		{"many zeros", zeros, io.EOF},
		{"another member", string(one), io.EOF},
		{"another member and zeros", string(one) + zeros, io.EOF},
		{"text", "x", &FormatError{ErrTrailing, end}},
		{"zeros and text", "\x00\x00\x00x", &FormatError{ErrTrailing, end + 3}},
		{"many zeros and text", zeros + "x", &FormatError{ErrTrailing, end + 300_000}},
		{"zeros and a member", "\x00" + string(one), &FormatError{ErrTrailing, end + 1}},
		{"half a magic", "\x1f", &FormatError{io.ErrUnexpectedEOF, end + 1}},
		{"a magic", "\x1f\x8b", &FormatError{io.ErrUnexpectedEOF, end + 2}},
		{"nearly a magic", "\x1f\x8c", &FormatError{ErrTrailing, end}},
		{"another method", "\x1f\x8b\x07", &FormatError{ErrTrailing, end}},
		{"half a header", "\x1f\x8b\x08\x00", &FormatError{io.ErrUnexpectedEOF, end + 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := append(slices.Clone(one), c.rest...)
			if got := reference(raw).err; !sameError(got, c.want) {
				t.Fatalf("the reference says %v, want %v", got, c.want)
			}
			differ(t, z, raw, ways...)
		})
	}
}

func TestEmptyInput(t *testing.T) {
	_, err := io.ReadAll(NewReader(strings.NewReader("")))
	if want := (&FormatError{io.ErrUnexpectedEOF, 0}); !sameError(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestTrailerDamage(t *testing.T) {
	raw := headed(0, "", false)
	for i := len(raw) - 8; i < len(raw); i++ {
		raw[i] ^= 0x10
		data, err := io.ReadAll(NewReader(bytes.NewReader(raw)))
		if want := (&FormatError{errChecksum, int64(len(raw)) - 8}); !sameError(err, want) || string(data) != "data" {
			t.Errorf("byte %d: got %q, %v, want %v", i, data, err, want)
		}
		raw[i] ^= 0x10
	}
}

// TestSourceErrors lets the source break at each byte: what the bytes before
// give comes first, then the error as the source said it.
func TestSourceErrors(t *testing.T) {
	broken := errors.New("broken")
	raw := append(member(new(crafter).fixed(true).text(strings.Repeat("hello ", 20)).match(100, 7).end().bytes()), headed(8, "name\x00", false)...)
	raw = append(raw, 0, 0)
	z := NewReader(nil)
	for n := range len(raw) + 1 {
		want := reference(raw[:n])
		z.Reset(io.MultiReader(bytes.NewReader(raw[:n]), iotest.ErrReader(broken)))
		if got := byNext(1)(z); got.err != broken || !bytes.Equal(got.data, want.data) {
			t.Errorf("broken at %d: got %d bytes, %v, want %d", n, len(got.data), got.err, len(want.data))
		}
	}
	z.Reset(stuck{})
	if _, err := z.Read(make([]byte, 1)); err != io.ErrNoProgress {
		t.Errorf("source without progress: got %v, want %v", err, io.ErrNoProgress)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestErrorText(t *testing.T) {
	for err, want := range map[error]string{
		&FormatError{ErrTrailing, 12}:        "trailing garbage at offset 12",
		&FormatError{errCorrupt, 3}:          "corrupt deflate data before offset 3",
		&FormatError{io.ErrUnexpectedEOF, 9}: "unexpected EOF at offset 9",
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
