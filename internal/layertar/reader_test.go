// SPDX-License-Identifier: Apache-2.0

package layertar_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertar"
)

// list is what a reader says of each entry, with its content.
func list(b []byte) (out []string, err error) {
	r := layertar.NewReader(iotest.OneByteReader(bytes.NewReader(b)))
	for {
		h, err := r.Next()
		if err == io.EOF {
			_, err = r.Drain()
			return out, err
		}
		if err != nil {
			return out, err
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("%c %q %q %o %d:%d %d.%d %d:%d %q", h.Type, h.Name, h.Linkname, h.Mode, h.UID, h.GID,
			h.Seconds, h.Nanoseconds, h.Major, h.Minor, body))
	}
}

func TestFormats(t *testing.T) {
	long := strings.Repeat("n", 120)
	f := imagetest.RawEntry{Name: "f", Type: '0', Mode: 0o644, UID: 1, GID: 2, Mtime: 3, Body: "body"}
	change := func(set func(e *imagetest.RawEntry)) imagetest.RawEntry {
		e := f
		set(&e)
		return e
	}
	for _, c := range []struct {
		name string
		tar  []byte
		want string
	}{
		{"ustar", imagetest.RawTar(f), `0 "f" "" 644 1:2 3.0 0:0 "body"`},
		{"ustar with a prefix", imagetest.RawTar(change(func(e *imagetest.RawEntry) { e.Prefix = "a/b" })), `0 "a/b/f" "" 644 1:2 3.0 0:0 "body"`},
		{"V7 has no prefix", imagetest.RawTar(change(func(e *imagetest.RawEntry) { e.Magic = "none" })), `0 "f" "" 644 1:2 3.0 0:0 "body"`},
		{"V7 file", imagetest.RawTar(change(func(e *imagetest.RawEntry) { e.Magic, e.Type = "none", 0 })), `0 "f" "" 644 1:2 3.0 0:0 "body"`},
		{"V7 directory", imagetest.RawTar(imagetest.RawEntry{Name: "d/", Magic: "none"}), `5 "d/" "" 0 0:0 0.0 0:0 ""`},
		{"GNU", imagetest.RawTar(change(func(e *imagetest.RawEntry) { e.Magic, e.Prefix = "ustar  \x00", "00000000001\x0000000000002\x00" })), `0 "f" "" 644 1:2 3.0 0:0 "body"`},
		{"GNU with the prefix of old Go", imagetest.RawTar(change(func(e *imagetest.RawEntry) { e.Magic, e.Prefix = "ustar  \x00", "pre/fix" })), `0 "pre/fix/f" "" 644 1:2 3.0 0:0 "body"`},
		{"base 256", imagetest.RawTar(change(func(e *imagetest.RawEntry) { e.UID, e.Mtime = 1<<32+5, -7 })), `0 "f" "" 644 4294967301:2 -7.0 0:0 "body"`},
		{"PAX", imagetest.RawTar(imagetest.PAX("path", long, "uid", "5000000000", "mtime", "-1.25", "size", "4"), f), `0 "` + long + `" "" 644 5000000000:2 -2.750000000 0:0 "body"`},
		{"an empty PAX record", imagetest.RawTar(imagetest.PAX("path", "", "uid", ""), f), `0 "f" "" 644 1:2 3.0 0:0 "body"`},
		{"device", imagetest.RawTar(imagetest.RawEntry{Name: "d", Type: '3', Major: 1, Minor: 3}), `3 "d" "" 0 0:0 0.0 1:3 ""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := list(c.tar)
			if err != nil || len(got) != 1 || got[0] != c.want {
				t.Errorf("list = %s, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	f := imagetest.RawEntry{Name: "f", Type: '0'}
	for _, c := range []struct {
		name string
		tar  []byte
		want func(h *layertar.Header) bool
	}{
		{"size of a hard link", imagetest.RawTar(imagetest.RawEntry{Name: "f", Type: '1', Size: 5}), func(h *layertar.Header) bool { return h.SizeIgnored && h.Size == 0 }},
		{"size of a FIFO that is negative", imagetest.RawTar(imagetest.RawEntry{Name: "f", Type: '6', Size: -1}), func(h *layertar.Header) bool { return h.SizeIgnored && h.Size == 0 }},
		{"size of a directory of V7", imagetest.RawTar(imagetest.RawEntry{Name: "d/", Size: 4096}), func(h *layertar.Header) bool { return h.SizeIgnored && h.Type == '5' }},
		{"time without whole seconds", imagetest.RawTar(imagetest.PAX("mtime", ".5"), f), timeIs(0, 5e8)},
		{"time before 1970 without whole seconds", imagetest.RawTar(imagetest.PAX("mtime", "-.25"), f), timeIs(-1, 75e7)},
		{"time with an exponent", imagetest.RawTar(imagetest.PAX("mtime", "1.7e9"), f), timeIs(17e8, 0)},
		{"small time with an exponent", imagetest.RawTar(imagetest.PAX("mtime", "5e-1"), f), timeIs(0, 5e8)},
		{"repeated record", imagetest.RawTar(imagetest.PAX("uid", "1", "uid", "2"), f), func(h *layertar.Header) bool { return h.Repeated && h.UID == 2 }},
		{"repeated header", imagetest.RawTar(imagetest.PAX("uid", "1"), imagetest.PAX("gid", "2"), f), func(h *layertar.Header) bool { return h.Repeated && h.UID == 0 && h.GID == 2 }},
		{"foreign attributes", imagetest.RawTar(imagetest.PAX("LIBARCHIVE.xattr.user.x", "MQ=="), f), func(h *layertar.Header) bool { return h.Foreign && h.Xattrs == nil }},
		{"far time", imagetest.RawTar(imagetest.PAX("mtime", "1e30"), f), func(h *layertar.Header) bool { return h.TimeClamped && h.Seconds == math.MaxInt64 }},
		{"far time before 1970", imagetest.RawTar(imagetest.PAX("mtime", "-9"+strings.Repeat("0", 40)), f), func(h *layertar.Header) bool { return h.TimeClamped && h.Seconds == math.MinInt64 }},
		{"attributes in their order", imagetest.RawTar(imagetest.PAX("SCHILY.xattr.user.b", "1", "SCHILY.xattr.user.a", "a=\n\x00"), f), func(h *layertar.Header) bool {
			return len(h.Xattrs) == 2 && h.Xattrs[0] == layertar.Xattr{Name: "user.b", Value: "1"} && h.Xattrs[1].Value == "a=\n\x00"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := layertar.NewReader(bytes.NewReader(c.tar)).Next()
			if err != nil || !c.want(h) {
				t.Errorf("Next = %+v, %v", h, err)
			}
		})
	}
}

func timeIs(sec, nsec int64) func(h *layertar.Header) bool {
	return func(h *layertar.Header) bool {
		return h.Seconds == sec && h.Nanoseconds == nsec && h.OddTime && !h.TimeClamped
	}
}

func TestFaults(t *testing.T) {
	f := imagetest.RawEntry{Name: "f", Type: '0', Body: "body"}
	good := imagetest.RawTar(f, f)
	damaged := bytes.Clone(good)
	damaged[5] ^= 1
	for _, c := range []struct {
		name, says string
		tar        []byte
	}{
		{"checksum", "checksum", damaged},
		{"truncated content", "ends inside this entry", good[:514]},
		{"truncated header", "ends inside a header", good[:1100]},
		{"single zero block", "single zero block", append(make([]byte, 512), good...)},
		{"half of the end", "end marker", append(good[:1024:1024], make([]byte, 600)...)},
		{"data in a directory", "checksum", imagetest.RawTar(imagetest.RawEntry{Name: "d", Type: '5', Body: "x"})},
		{"data in a directory of V7", "checksum", imagetest.RawTar(imagetest.RawEntry{Name: "d/", Body: "x"})},
		{"negative size", "negative", imagetest.RawTar(imagetest.RawEntry{Name: "d", Type: '0', Size: -1})},
		{"PAX size that is no number", "size", imagetest.RawTar(imagetest.PAX("size", "x"), f)},
		{"PAX time that is no number", "mtime", imagetest.RawTar(imagetest.PAX("mtime", "0x10"), f)},
		{"PAX time of infinity", "mtime", imagetest.RawTar(imagetest.PAX("mtime", "inf"), f)},
		{"PAX record without a value", "PAX", imagetest.RawTar(imagetest.RawEntry{Name: "p", Type: 'x', Body: "7 path\n"}, f)},
		{"PAX record with a wrong length", "PAX", imagetest.RawTar(imagetest.RawEntry{Name: "p", Type: 'x', Body: "200 path=x\n"}, f)},
		{"PAX record without a length", "PAX", imagetest.RawTar(imagetest.RawEntry{Name: "p", Type: 'x', Body: "path=x\n"}, f)},
		{"extended header at the end", "without an entry", imagetest.RawTar(f, imagetest.PAX("path", "x"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := list(c.tar)
			var syntax *layertar.SyntaxError
			if !errors.As(err, &syntax) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error = %v, want a SyntaxError that says %q", err, c.says)
			}
		})
	}
}

func TestDrainFindsData(t *testing.T) {
	b := append(imagetest.RawTar(), make([]byte, 5000)...)
	b[4321] = 1
	r := layertar.NewReader(bytes.NewReader(b))
	if _, err := r.Next(); err != io.EOF {
		t.Fatal(err)
	}
	at, err := r.Drain()
	if err != nil || at != 4321 || r.Offset() != int64(len(b)) {
		t.Errorf("Drain = %d, %v at %d, want 4321 at %d", at, err, r.Offset(), len(b))
	}
}

// repair makes the checksums right, so that a fuzzer gets past them.
func repair(b []byte) []byte {
	b = bytes.Clone(b)
	for i := 0; i+512 <= len(b); i += 512 {
		blk := b[i : i+512]
		if bytes.Count(blk, []byte{0}) == 512 {
			continue
		}
		copy(blk[148:156], "        ")
		sum := 0
		for _, c := range blk {
			sum += int(c)
		}
		copy(blk[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
	return b
}

// FuzzReader compares with archive/tar: what both accept they must say alike.
func FuzzReader(f *testing.F) {
	file := imagetest.RawEntry{Name: "f", Type: '0', Mode: 0o644, Body: "body"}
	f.Add(imagetest.RawTar(file, imagetest.PAX("path", "long", "mtime", "1.5"), file))
	f.Add(imagetest.RawTar(imagetest.RawEntry{Name: "L", Type: 'L', Body: "long\x00"}, file, imagetest.GlobalPAX("path", "g"), file))
	f.Add(imagetest.Tar(imagetest.File("a", "b"), imagetest.Dir("d", 0o755), imagetest.Symlink("s", "t"), imagetest.Hardlink("h", "a")))
	for _, b := range sparseTars() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		for _, b := range [][]byte{b, repair(b)} {
			compare(t, b)
		}
	})
}

func compare(t *testing.T, b []byte) {
	ours, theirs := layertar.NewReader(bytes.NewReader(b)), tar.NewReader(bytes.NewReader(b))
	for {
		h, err := ours.Next()
		if err != nil || h.Size > 1<<24 {
			return
		}
		body, err := io.ReadAll(ours)
		if err != nil {
			return
		}
		want, err := theirs.Next()
		for err == nil && want.Typeflag == tar.TypeXGlobalHeader {
			if extendedBeforeGlobal(b) {
				return
			}
			want, err = theirs.Next()
		}
		if err != nil || h.TimeClamped || want.Typeflag == '7' {
			return
		}
		if want.Typeflag == tar.TypeGNUSparse {
			want.Typeflag = tar.TypeReg
		}
		wantBody, err := io.ReadAll(theirs)
		if err != nil {
			t.Fatalf("%q: archive/tar: %v", h.Name, err)
		}
		got := fmt.Sprint(h.Name, h.Linkname, h.Type, h.Mode, h.UID, h.GID, h.Seconds, h.Nanoseconds, h.Major, h.Minor, len(h.Xattrs), body)
		is := fmt.Sprint(want.Name, want.Linkname, want.Typeflag, want.Mode, int64(want.Uid), int64(want.Gid), want.ModTime.Unix(), want.ModTime.Nanosecond(),
			want.Devmajor, want.Devminor, xattrs(want), wantBody)
		if got != is {
			t.Fatalf("read %q, archive/tar %q", got, is)
		}
	}
}

// extendedBeforeGlobal tells whether a header of type x, L or K may come before
// one of type g: archive/tar returns the global header and loses what the other
// said, where we keep it for the entry that it is about.
func extendedBeforeGlobal(b []byte) bool {
	extended := false
	for i := 156; i < len(b); i += 512 {
		switch b[i] {
		case 'x', 'L', 'K':
			extended = true
		case 'g':
			if extended {
				return true
			}
		}
	}
	return false
}

func xattrs(h *tar.Header) (n int) {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "SCHILY.xattr.") {
			n++
		}
	}
	return n
}
