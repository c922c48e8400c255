// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"bytes"
	"fmt"
	"strconv"
)

// RawEntry is one tar header as its bytes are to be, for what archive/tar
// refuses to write. Numbers that octal digits cannot hold are written in base
// 256.
type RawEntry struct {
	Name, Linkname, Prefix string
	// Magic is that of ustar where it is empty; "none" is none.
	Magic        string
	Type         byte // 0 is NUL, the old regular file
	Mode         int64
	UID, GID     int64
	Size         int64 // 0 is the length of Body
	Mtime        int64
	Major, Minor int64
	Body         string // padded to whole blocks
}

// RawTar writes the entries and the end marker.
func RawTar(entries ...RawEntry) []byte { return append(RawTarOpen(entries...), make([]byte, 1024)...) }

// RawTarOpen writes the entries without an end marker.
func RawTarOpen(entries ...RawEntry) []byte {
	var out bytes.Buffer
	for _, e := range entries {
		out.Write(e.header())
		out.WriteString(e.Body)
		out.Write(make([]byte, -len(e.Body)&511))
	}
	return out.Bytes()
}

// PAX is an extended header for the next entry, of pairs of key and value.
func PAX(pairs ...string) RawEntry { return paxOf('x', pairs) }

// GlobalPAX is a global extended header.
func GlobalPAX(pairs ...string) RawEntry { return paxOf('g', pairs) }

func paxOf(typeflag byte, pairs []string) RawEntry {
	var b bytes.Buffer
	for i := 0; i+1 < len(pairs); i += 2 {
		rest := " " + pairs[i] + "=" + pairs[i+1] + "\n"
		n := len(rest) + 1
		for n != len(rest)+len(strconv.Itoa(n)) {
			n = len(rest) + len(strconv.Itoa(n))
		}
		b.WriteString(strconv.Itoa(n) + rest)
	}
	return RawEntry{Name: "pax", Type: typeflag, Body: b.String()}
}

func (e RawEntry) header() []byte {
	b := make([]byte, 512)
	if e.Size == 0 {
		e.Size = int64(len(e.Body))
	}
	copy(b[0:100], e.Name)
	rawNumber(b[100:108], e.Mode)
	rawNumber(b[108:116], e.UID)
	rawNumber(b[116:124], e.GID)
	rawNumber(b[124:136], e.Size)
	rawNumber(b[136:148], e.Mtime)
	b[156] = e.Type
	copy(b[157:257], e.Linkname)
	if e.Magic == "" {
		e.Magic = "ustar\x0000"
	}
	if e.Magic != "none" {
		copy(b[257:265], e.Magic)
		rawNumber(b[329:337], e.Major)
		rawNumber(b[337:345], e.Minor)
		copy(b[345:500], e.Prefix)
	}
	sum := 8 * int(' ')
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func rawNumber(b []byte, n int64) {
	if n >= 0 && n < 1<<(3*(len(b)-1)) {
		copy(b, fmt.Sprintf("%0*o\x00", len(b)-1, n))
		return
	}
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(n)
		n >>= 8
	}
	b[0] |= 0x80
}
