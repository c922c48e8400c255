// SPDX-License-Identifier: Apache-2.0

package layertar

import (
	"bytes"
	"strconv"
)

const blockSize = 512

// block is one header block. The fields are those of POSIX.1-1988 (ustar)
// and of GNU tar's manual, "Basic Tar Format".
type block [blockSize]byte

func (b *block) name() []byte     { return b[0:100] }
func (b *block) mode() []byte     { return b[100:108] }
func (b *block) uid() []byte      { return b[108:116] }
func (b *block) gid() []byte      { return b[116:124] }
func (b *block) size() []byte     { return b[124:136] }
func (b *block) mtime() []byte    { return b[136:148] }
func (b *block) checksum() []byte { return b[148:156] }
func (b *block) linkname() []byte { return b[157:257] }
func (b *block) major() []byte    { return b[329:337] }
func (b *block) minor() []byte    { return b[337:345] }
func (b *block) prefix() []byte   { return b[345:500] }

func (b *block) typeflag() byte { return b[156] }

// checksumHolds compares the checksum, as signed bytes too: old Sun tars
// summed so.
func (b *block) checksumHolds() bool {
	want, ok := number(b.checksum())
	if !ok {
		return false
	}
	var unsigned, signed int64
	for i, c := range b {
		if 148 <= i && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}

// path is the entry's name with the prefix that its format keeps apart.
func (b *block) path() string {
	name := text(b.name())
	prefix := ""
	switch magic := string(b[257:265]); {
	case magic == "ustar  \x00": // GNU has times there
		prefix = b.misplacedPrefix()
	case string(b[257:263]) != "ustar\x00": // V7 has nothing there
	case string(b[508:512]) == "tar\x00": // star has times after a shorter prefix
		prefix = text(b[345:476])
	default:
		prefix = text(b.prefix())
	}
	if prefix == "" {
		return name
	}
	return prefix + "/" + name
}

// misplacedPrefix finds the prefix that archive/tar before Go 1.8 wrote into
// GNU headers, where the times are (https://go.dev/issue/12594). Layers of
// that age are still pulled.
func (b *block) misplacedPrefix() string {
	atime, ctime := b[345:357], b[357:369]
	_, ok := number(atime)
	_, ok2 := number(ctime)
	if (ok || atime[0] == 0) && (ok2 || ctime[0] == 0) {
		return ""
	}
	s := text(b.prefix())
	for i := range len(s) {
		if s[i] >= 0x80 {
			return ""
		}
	}
	return s
}

// hasDeviceNumbers says whether the format has the fields for them.
func (b *block) hasDeviceNumbers() bool {
	return string(b[257:263]) == "ustar\x00" || string(b[257:265]) == "ustar  \x00"
}

func (b *block) isZero() bool { return *b == block{} }

// text is a field up to its NUL.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// number reads a numeric field: octal digits, or base 256 where the first
// bit is set. It is false for what is neither, or outside int64.
func number(b []byte) (int64, bool) {
	if b[0]&0x80 != 0 {
		return base256(b)
	}
	b = bytes.Trim(b, " \x00")
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if len(b) == 0 {
		return 0, true
	}
	n, err := strconv.ParseUint(string(b), 8, 63)
	return int64(n), err == nil
}

// base256 reads a big-endian two's complement number whose first bit is only
// the mark of this encoding.
func base256(b []byte) (int64, bool) {
	var invert byte
	if b[0]&0x40 != 0 {
		invert = 0xff
	}
	var n uint64
	for i, c := range b {
		c ^= invert
		if i == 0 {
			c &= 0x7f
		}
		if n>>55 != 0 {
			return 0, false
		}
		n = n<<8 | uint64(c)
	}
	if invert != 0 {
		return ^int64(n), true
	}
	return int64(n), true
}
