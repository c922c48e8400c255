// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

func TestNumbers(t *testing.T) {
	owner := func(uid int64) []byte { return RawTar(RawEntry{Name: "a", Type: '0', Mode: 0o644, UID: uid}) }
	var cases []layerCase
	for _, uid := range []int64{1<<32 + 5, 1 << 32, 1<<32 - 1, -1} {
		cases = append(cases, layerCase{name: fmt.Sprintf("uid %d", uid), raw: owner(uid), fails: unpack.ErrMalformed, says: "owner"},
			layerCase{
				name: fmt.Sprintf("uid %d in PAX", uid), raw: RawTar(PAX("uid", fmt.Sprint(uid)), RawEntry{Name: "a", Type: '0'}),
				fails: unpack.ErrMalformed, says: "owner",
			})
	}
	for _, uid := range []int64{3e9, 1<<32 - 2} {
		cases = append(cases, layerCase{
			name: fmt.Sprintf("uid %d", uid), raw: owner(uid), merged: "a:",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				if got := stat(t, dir, "a").Uid; rootly(t) && int64(got) != uid {
					t.Errorf("uid = %d, want %d", got, uid)
				}
			},
		})
	}
	runCases(t, cases)
}

// The times that the filesystem of the tests keeps are at least those of
// ext4 with small inodes or XFS without bigtime; what is recorded must be
// what is found.
func TestTimes(t *testing.T) {
	for _, c := range []struct {
		name, pax string
		want      int64 // 0 is not looked at
		clamped   bool
	}{
		{"before 1970", "-86400.5", -86401, false},
		{"in the year 36812", "1099511627776", 0, true},
		{"far before 1970", "-99999999999", 0, true},
		{"beyond 64 bits", "1" + strings.Repeat("0", 30), 0, true},
		{"as a floating point number", "1e30", 0, true},
		{"as a negative one", "-1e30", 0, true},
		{"with more digits than a clock has", "1.123456789999", 1, false},
		{"now", "1700000000.5", 1700000000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := RawTar(PAX("mtime", c.pax), RawEntry{Name: "a", Type: '0'}, PAX("mtime", c.pax), RawEntry{Name: "d", Type: '5'},
				PAX("mtime", c.pax), RawEntry{Name: "l", Type: '2', Linkname: "x"})
			dir := tempDir(t)
			journal, r, err := journalOf(t, dir, raw, unpack.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := len(r.Notes) == 1 && r.Notes[0] == (unpack.Note{Key: layer.NoteTime, Count: 3, Example: "a"}), c.clamped; got != want {
				t.Errorf("notes = %v, want a clamped time: %v", r.Notes, want)
			}
			for _, name := range []string{"a", "d", "l"} {
				st := stat(t, dir, name)
				e := journal[name]
				if got, want := fmt.Sprint(st.Mtim.Sec, st.Mtim.Nsec), fmt.Sprint(e.ModTime.Unix(), e.ModTime.Nanosecond()); got != want {
					t.Errorf("time of %s = %s, recorded is %s", name, got, want)
				}
				if c.want != 0 && e.ModTime.Unix() != c.want {
					t.Errorf("time of %s = %d, want %d", name, e.ModTime.Unix(), c.want)
				}
			}
			_, _, err = journalOf(t, tempDir(t), raw, unpack.Options{Strict: true})
			if (err != nil) != c.clamped {
				t.Errorf("strict: error = %v, want one: %v", err, c.clamped)
			}
		})
	}
}

func timeOf(name string, sec, nsec int64) func(*testing.T, string, unpack.Result) {
	return func(t *testing.T, dir string, _ unpack.Result) {
		if st := stat(t, dir, name); int64(st.Mtim.Sec) != sec || int64(st.Mtim.Nsec) != nsec {
			t.Errorf("time = %d.%09d, want %d.%09d", st.Mtim.Sec, st.Mtim.Nsec, sec, nsec)
		}
	}
}

func TestSizesAndExtendedHeaders(t *testing.T) {
	file := RawEntry{Name: "f", Type: '0', Body: "content"}
	many := make([]string, 0, 2000)
	for i := range 1000 {
		many = append(many, fmt.Sprintf("SCHILY.xattr.user.%d", i), strings.Repeat("v", 1100))
	}
	runCases(t, []layerCase{
		{name: "a PAX size of -1", raw: RawTar(PAX("size", "-1"), file), fails: unpack.ErrMalformed, says: "negative size"},
		{name: "a negative size in base 256", raw: RawTar(RawEntry{Name: "f", Type: '0', Size: -7}), fails: unpack.ErrMalformed, says: "negative size"},
		{
			name: "a PAX size of 2^63-1", raw: RawTar(PAX("size", fmt.Sprint(int64(math.MaxInt64))), file),
			fails: unpack.ErrLimit, says: "bytes",
		},
		{name: "a PAX size beyond 64 bits", raw: RawTar(PAX("size", "9"+strings.Repeat("9", 30)), file), fails: unpack.ErrMalformed, says: "PAX record for size"},
		{
			name: "a sparse file of version 1.0 that claims a pebibyte",
			raw: RawTar(PAX("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "f", "GNU.sparse.realsize", "1125899906842624"),
				RawEntry{Name: "GNUSparseFile.0/f", Type: '0', Body: "0\n" + strings.Repeat("\x00", 510)}),
			fails: unpack.ErrLimit, says: "bytes",
		},
		{
			name: "a sparse file of a pebibyte", raw: sparseFile(1 << 50), fails: unpack.ErrLimit, says: "bytes",
		},
		{
			name: "sparse files that are too large together", o: unpack.Options{Limits: unpack.Limits{Bytes: 10 << 20}},
			raw:   slices.Concat(sparseOpen(6<<20), sparseOpen(6<<20)),
			fails: unpack.ErrLimit, says: "bytes",
		},
		{
			name: "a sparse file", raw: sparseFile(3 << 20), notes: "sparse-file=1", strict: true, merged: "-",
			check: func(t *testing.T, dir string, r unpack.Result) {
				b, err := os.ReadFile(dir + "/f")
				if want := "head" + strings.Repeat("\x00", 1<<20-4) + "middle"; err != nil || string(bytes.TrimRight(b, "\x00")) != want || len(b) != 3<<20 {
					t.Errorf("content of %d bytes, %v", len(b), err)
				}
				if st := stat(t, dir, "f"); st.Blocks*512 > 1<<20 {
					t.Errorf("the file takes %d blocks", st.Blocks)
				}
				equal(t, "content that is counted", fmt.Sprint(r.Content), fmt.Sprint(3<<20))
			},
		},
		{
			name: "a sparse file of version 0.1", raw: RawTar(PAX("GNU.sparse.map", "0,1,5,2", "GNU.sparse.size", "7"), file),
			fails: unpack.ErrMalformed, says: "sparse",
		},
		{name: "an old GNU sparse file", raw: RawTar(RawEntry{Name: "f", Type: 'S', Magic: "ustar  \x00"}), notes: "sparse-file=1", strict: true, merged: "f:"},
		{name: "a time without whole seconds", raw: RawTar(PAX("mtime", ".5"), file), notes: "pax-time=1", strict: true, merged: "-", check: timeOf("f", 0, 5e8)},
		{name: "a time as Python writes a float", raw: RawTar(PAX("mtime", "1.7e+09"), file), notes: "pax-time=1", strict: true, merged: "-", check: timeOf("f", 17e8, 0)},
		{name: "an empty PAX header, and empty records", raw: RawTar(PAX(), PAX("path", "", "mtime", ""), file), notes: "pax-repeated=1", strict: true, merged: "-"},
		{name: "a PAX header of more than 1 MiB", raw: RawTar(PAX(many...), file), fails: unpack.ErrMalformed, says: "more than 1048576"},
		{
			name: "a GNU long name of more than 1 MiB", raw: RawTar(RawEntry{Name: "././@LongLink", Type: 'L', Body: strings.Repeat("n", 1<<20+1)}, file),
			fails: unpack.ErrMalformed, says: "more than 1048576",
		},
		{
			name:   "two PAX headers in a row",
			raw:    RawTar(PAX("path", "first"), PAX("path", "second"), file),
			strict: true, notes: "pax-repeated=1", merged: "second: content",
		},
		{
			name: "a PAX record twice", raw: RawTar(PAX("path", "first", "path", "second"), file),
			strict: true, notes: "pax-repeated=1", merged: "second: content",
		},
		{
			name: "a PAX header and a GNU long name for one entry",
			raw: RawTar(PAX("mtime", "5", "path", "pax"), RawEntry{Name: "././@LongLink", Type: 'L', Body: "long\x00"},
				file),
			merged: "long: content",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				equal(t, "time", fmt.Sprint(stat(t, dir, "long").Mtim.Sec), "5")
			},
		},
		{
			name: "a GNU long link name", raw: RawTar(RawEntry{Name: "././@LongLink", Type: 'K', Body: "target\x00"}, RawEntry{Name: "l", Type: '2', Linkname: "x"}),
			merged: "l -> target",
		},
		{name: "a global PAX header with a path", raw: RawTar(GlobalPAX("path", "a", "comment", "of git archive"), file), merged: "f: content"},
		{
			name: "a global PAX header with a whiteout's path", lower: entries{File("secret", "s")},
			raw: RawTar(GlobalPAX("path", ".wh.secret"), file), merged: "f: content\nsecret: s",
		},
		{
			name: "a global PAX header that is no PAX", raw: RawTar(RawEntry{Name: "pax", Type: 'g', Body: "\x00rubbish"}, file),
			merged: "f: content",
		},
		{
			name: "a global PAX header between an entry and its own", raw: RawTar(PAX("path", "named"), GlobalPAX("path", "a"), file),
			merged: "named: content",
		},
		{name: "a malformed PAX record", raw: RawTar(RawEntry{Name: "pax", Type: 'x', Body: "99 path=x\n"}, file), fails: unpack.ErrMalformed, says: "PAX record"},
		{name: "an extended header without an entry", raw: RawTar(PAX("path", "x")), fails: unpack.ErrMalformed, says: "without an entry"},
	})
}

func TestEndOfArchive(t *testing.T) {
	open := RawTarOpen(RawEntry{Name: "a", Type: '0', Body: "first"}, RawEntry{Name: "b", Type: '0', Body: strings.Repeat("b", 700)})
	zero := make([]byte, 512)
	runCases(t, []layerCase{
		{
			name: "a tar that ends inside a file", raw: open[:len(open)-400],
			fails: unpack.ErrMalformed, says: `entry "b" at byte 1024: the layer tar ends inside this entry, at byte 2160`,
		},
		{name: "a tar that ends inside a header", raw: open[:1024+100], fails: unpack.ErrMalformed, says: "ends inside a header"},
		{name: "a tar without end marker", raw: open, merged: "a: first\nb: " + strings.Repeat("b", 700)},
		{name: "a tar without the padding of its last file", raw: open[:len(open)-100], merged: "a: first\nb: " + strings.Repeat("b", 700)},
		{name: "a tar with half an end marker", raw: append(bytes.Clone(open[:1024]), zero...), merged: "a: first"},
		{
			name: "an entry after one zero block", raw: append(append(bytes.Clone(open[:1024]), zero...), open[1024:]...),
			fails: unpack.ErrMalformed, says: "single zero block",
		},
		{
			name:   "entries after the end marker",
			raw:    append(RawTar(RawEntry{Name: "a", Type: '0', Body: "first"}), open[1024:]...),
			strict: true, notes: "data-after-end=1", merged: "a: first",
		},
		{name: "a tar of zeros", raw: make([]byte, 1024), merged: "", implied: "."},
		{name: "a tar of more zeros", raw: make([]byte, 10240), merged: ""},
		{name: "a tar of no bytes", blob: []byte{}, merged: ""},
	})
}

func TestLimits(t *testing.T) {
	deep := File(strings.Repeat("d/", 20)+"f", "")
	runCases(t, []layerCase{
		{
			name: "more entries than allowed", layer: entries{File("a", ""), File("b", ""), File("c", "")},
			o: unpack.Options{Limits: unpack.Limits{Entries: 2}}, fails: unpack.ErrLimit, says: `limit of 2 for entries at entry "c"`,
		},
		{
			name: "a path deeper than allowed", layer: entries{deep},
			o: unpack.Options{Limits: unpack.Limits{Depth: 20}}, fails: unpack.ErrLimit, says: `limit of 20 for depth`,
		},
		{name: "a path as deep as allowed", layer: entries{deep}, o: unpack.Options{Limits: unpack.Limits{Depth: 21}}, merged: "-"},
		{name: "a path of 2001 names", layer: entries{File(strings.Repeat("d/", 2000)+"f", "")}, fails: unpack.ErrLimit, says: "1000 for depth"},
		{
			name: "a path deeper than allowed through symlinks", layer: entries{Symlink("l", strings.Repeat("d/", 20)), File("l/f", "")},
			o: unpack.Options{Limits: unpack.Limits{Depth: 19}}, fails: unpack.ErrLimit, says: "depth",
		},
		{
			name: "a larger tar than allowed", layer: entries{File("a", strings.Repeat("a", 5000))},
			o: unpack.Options{Limits: unpack.Limits{Bytes: 4000}}, fails: unpack.ErrLimit, says: "4000 for bytes",
		},
		{
			name: "more paths to remember than allowed", layer: entries{File("a/x", ""), File("b/x", ""), File("c/x", "")},
			o: unpack.Options{Limits: unpack.Limits{Recorded: 500}}, fails: unpack.ErrLimit, says: "recorded",
		},
	})
}
