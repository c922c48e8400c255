// SPDX-License-Identifier: Apache-2.0

package layertar_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertar"
)

// The sparse file of the tests: "head" at 0, "middle" at 1000, a hole up to 5000.
const sparseData = "headmiddle"

func sparseContent() string {
	b := make([]byte, 5000)
	copy(b, "head")
	copy(b[1000:], "middle")
	return string(b)
}

// sparseTars has that file in each form, and another one behind it.
func sparseTars() map[string][]byte {
	data := imagetest.RawEntry{Name: "GNUSparseFile.1/f", Type: '0', Body: sparseData}
	last := imagetest.RawEntry{Name: "last", Type: '0', Body: "last"}
	before := data
	before.Body = pad("3\n0\n4\n1000\n6\n5000\n0\n") + sparseData
	real := data
	real.Name = "f"
	return map[string][]byte{
		"0.0": imagetest.RawTar(imagetest.PAX("GNU.sparse.size", "5000", "GNU.sparse.numblocks", "3",
			"GNU.sparse.offset", "0", "GNU.sparse.numbytes", "4", "GNU.sparse.offset", "1000", "GNU.sparse.numbytes", "6",
			"GNU.sparse.offset", "5000", "GNU.sparse.numbytes", "0"), real, last),
		"0.1": imagetest.RawTar(imagetest.PAX("GNU.sparse.size", "5000", "GNU.sparse.numblocks", "2",
			"GNU.sparse.name", "f", "GNU.sparse.map", "0,4,1000,6"), data, last),
		"1.0": imagetest.RawTar(imagetest.PAX("GNU.sparse.major", "1", "GNU.sparse.minor", "0",
			"GNU.sparse.name", "f", "GNU.sparse.realsize", "5000"), before, last),
		"GNU":                  oldSparse(5000, []int{0, 4, 1000, 6, 5000, 0}, last),
		"GNU with more blocks": oldSparse(5000, []int{0, 1, 1, 1, 2, 1, 3, 1, 1000, 2, 1002, 2, 1004, 2, 5000, 0}, last),
	}
}

func pad(s string) string { return s + strings.Repeat("\x00", -len(s)&511) }

// oldSparse is the file as GNU tar writes it without PAX.
func oldSparse(size int, numbers []int, last imagetest.RawEntry) []byte {
	b := imagetest.RawTarOpen(imagetest.RawEntry{Name: "f", Type: 'S', Magic: "ustar  \x00", Size: int64(len(sparseData))})
	clear(b[329:512])
	copy(b[483:], fmt.Sprintf("%011o", size))
	table, room, more := b[386:], 8, 482
	for len(numbers) > 0 {
		if room == 0 {
			b[more] = 1
			b = append(b, make([]byte, 512)...)
			table, room, more = b[len(b)-512:], 42, len(b)-512+504
		}
		copy(table, fmt.Sprintf("%011o", numbers[0]))
		table, numbers, room = table[12:], numbers[1:], room-1
	}
	header := repair(b[:512])
	b = append(append(header, b[512:]...), pad(sparseData)...)
	return append(b, imagetest.RawTar(last)...)
}

func TestSparseFiles(t *testing.T) {
	for form, b := range sparseTars() {
		got, err := list(b)
		want := []string{fmt.Sprintf(`0 "f" "" 0 0:0 0.0 0:0 %q`, sparseContent()), `0 "last" "" 0 0:0 0.0 0:0 "last"`}
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: list = %.200q, %v", form, got, err)
		}
		compare(t, b) // with archive/tar
		r := layertar.NewReader(bytes.NewReader(b))
		h, err := r.Next()
		if err != nil || !h.Sparse || h.Size != 5000 || h.Data != int64(len(sparseData)) {
			t.Fatalf("%s: Next = %+v, %v", form, h, err)
		}
		if got := pieces(t, r); got != "head, hole of 996, middle, hole of 3994" {
			t.Errorf("%s: content = %s", form, got)
		}
		r = layertar.NewReader(bytes.NewReader(b))
		for _, err = r.Next(); err == nil; _, err = r.Next() { // without reading what is in them
		}
		if err != io.EOF {
			t.Errorf("%s: %v", form, err)
		}
	}
}

// pieces is the data and the holes of a file.
func pieces(t *testing.T, r *layertar.Reader) string {
	t.Helper()
	var parts []string
	data := ""
	for {
		if n := r.Hole(); n > 0 {
			parts = append(parts, data, fmt.Sprintf("hole of %d", n))
			data = ""
		}
		b, err := r.Content()
		if err == io.EOF {
			return strings.Join(parts, ", ")
		}
		if err != nil {
			t.Fatal(err)
		}
		data += string(b)
	}
}

func TestSparseFaults(t *testing.T) {
	f := imagetest.RawEntry{Name: "f", Type: '0', Body: sparseData}
	pax := func(records ...string) []byte { return imagetest.RawTar(imagetest.PAX(records...), f) }
	one := func(body string) []byte {
		return imagetest.RawTar(imagetest.PAX("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "5000"), imagetest.RawEntry{Name: "f", Type: '0', Body: body})
	}
	dir := imagetest.RawTar(imagetest.PAX("GNU.sparse.map", "0,0", "GNU.sparse.numblocks", "1"), imagetest.RawEntry{Name: "d", Type: '5'})
	for _, c := range []struct {
		name, says string
		tar        []byte
	}{
		{"unknown form", "unknown form", pax("GNU.sparse.major", "2", "GNU.sparse.minor", "0", "GNU.sparse.size", "5000")},
		{"size that is no number", "size", pax("GNU.sparse.size", "x", "GNU.sparse.map", "0,10", "GNU.sparse.numblocks", "1")},
		{"more fragments than are said", "sparse map", pax("GNU.sparse.size", "5000", "GNU.sparse.map", "0,4,1000,6", "GNU.sparse.numblocks", "1")},
		{"an offset after an offset", "sparse map", pax("GNU.sparse.size", "5000", "GNU.sparse.numblocks", "1", "GNU.sparse.offset", "0", "GNU.sparse.offset", "0")},
		{"overlapping", "out of order", pax("GNU.sparse.size", "5000", "GNU.sparse.map", "0,6,3,4", "GNU.sparse.numblocks", "2")},
		{"past the end", "past the end", pax("GNU.sparse.size", "9", "GNU.sparse.map", "0,10", "GNU.sparse.numblocks", "1")},
		{"past the end by overflow", "past the end", pax("GNU.sparse.size", "5000", "GNU.sparse.map", "1,9223372036854775807", "GNU.sparse.numblocks", "1")},
		{"negative", "out of order", pax("GNU.sparse.size", "5000", "GNU.sparse.map", "0,-10", "GNU.sparse.numblocks", "1")},
		{"less than the data", "in the tar", pax("GNU.sparse.size", "5000", "GNU.sparse.map", "0,9", "GNU.sparse.numblocks", "1")},
		{"of a directory", "no regular file", dir},
		{"map that is cut short", "cut short", one("3\n0\n")},
		{"map that is no number", "sparse map", one("3\n0x\n")},
		{"map without an end", "more than", one("1000000\n" + strings.Repeat("1\n", 1<<20))},
		{"old form with another magic", "not GNU", imagetest.RawTar(imagetest.RawEntry{Name: "f", Type: 'S'})},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := list(c.tar); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error = %v, want one that says %q", err, c.says)
			}
		})
	}
}
