// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"archive/tar"
	"fmt"
	"path/filepath"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

func TestHardlinks(t *testing.T) {
	runCases(t, []layerCase{
		{
			name:  "a hardlink to a host path is one to a lower layer",
			layer: entries{Hardlink("a", "CANARY/keep")}, merged: "-",
			check: func(t *testing.T, _ string, _ unpack.Result) {}, links: "-", whiteouts: ".",
		},
		{
			name:  "a hardlink with .. stays inside",
			layer: entries{Hardlink("a", "../canary/keep")}, links: "a->canary/keep", whiteouts: ".",
		},
		{
			name:   "a hardlink to an absolute path",
			layer:  entries{File("etc/x", "x"), Hardlink("a", "/etc/x"), Hardlink("b", "../etc/x")},
			merged: "a: x\nb: x\netc/\netc/x: x",
		},
		{
			name:   "a hardlink through a symlinked parent",
			layer:  entries{File("etc/x", "x"), Symlink("lnk", "/etc"), Hardlink("a", "lnk/x"), Hardlink("lnk/b", "etc/x")},
			merged: "a: x\netc/\netc/b: x\netc/x: x\nlnk -> /etc",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				equal(t, "names of the file", fmt.Sprint(stat(t, dir, "etc/x").Nlink), "3")
			},
		},
		{
			name:   "a hardlink to a symlink, then a file over it",
			layer:  entries{Symlink("s", "CANARY/keep"), Hardlink("h", "s"), File("h", "new")},
			strict: true, notes: "duplicate-path=1", merged: "-",
			check: func(t *testing.T, dir string, _ unpack.Result) { equal(t, "h", describe(dir+"/h", "h"), "h: new") },
		},
		{
			name:   "a file over a hardlink leaves the other name alone",
			layer:  entries{File("a", "first"), Hardlink("b", "a"), File("b", "second")},
			strict: true, notes: "duplicate-path=1", merged: "a: first\nb: second",
		},
		{
			name: "a hardlink's own mode and owner are not looked at",
			layer: entries{File("a", "a"), with(Hardlink("b", "a"), func(e *Entry) {
				e.Mode, e.Uid = 0o4777, 7
			})},
			merged: "a: a\nb: a",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				st := stat(t, dir, "a")
				equal(t, "mode and owner", fmt.Sprintf("%o %v", st.Mode, st.Uid == 7), "100644 false")
			},
		},
		{
			name:   "a hardlink to a symlink with another mode",
			layer:  entries{Symlink("s", "CANARY/keep"), with(Hardlink("h", "s"), func(e *Entry) { e.Mode = 0o777 })},
			merged: "-",
		},
		{
			name:  "a hardlink to what comes later",
			lower: entries{File("a", "old")}, layer: entries{Hardlink("b", "a"), File("a", "new")},
			notes: "link-before-target=1", strict: true, links: "b->a", whiteouts: ".", merged: "a: new",
		},
		{
			name:  "a hardlink to a file of a lower layer",
			lower: entries{File("etc/x", "x")}, layer: entries{Hardlink("b", "etc/x"), Hardlink("c", "b")},
			links: "b->etc/x c->etc/x", whiteouts: ".", merged: "etc/\netc/x: x",
		},
		{
			name:  "a hardlink to a lower file, then a file over it",
			lower: entries{File("x", "x")}, layer: entries{Hardlink("b", "x"), File("b", "new")},
			strict: true, notes: "duplicate-path=1", merged: "b: new\nx: x",
		},
		{
			name:  "a hardlink to a lower file and a whiteout of its name",
			lower: entries{File("x", "x"), File("b", "old")}, layer: entries{File(".wh.b", ""), Hardlink("b", "x"), File(".wh.b", "")},
			links: "b->x", whiteouts: ".", merged: "x: x",
		},
		{name: "a hardlink to a directory", layer: entries{Dir("d/", 0o755), Hardlink("a", "d")}, fails: unpack.ErrMalformed, says: "directory"},
		{name: "a hardlink to the root", layer: entries{Hardlink("a", "/")}, fails: unpack.ErrMalformed, says: "directory"},
		{
			name:  "a hardlink to itself",
			layer: entries{File("a", "a"), Hardlink("a", "./a")}, fails: unpack.ErrMalformed, says: "itself",
			check: func(t *testing.T, dir string, _ unpack.Result) { equal(t, "a", describe(dir+"/a", "a"), "a: a") },
		},
		{
			name:  "a hardlink in place of the directory of its target",
			layer: entries{File("d/x", "x"), Hardlink("d", "d/x")}, fails: unpack.ErrMalformed, says: "itself",
		},
		{
			name:  "a hardlink to a lower file that this layer deletes",
			layer: entries{File(".wh.a", ""), Hardlink("b", "a")}, fails: unpack.ErrMalformed, says: "deletes",
		},
		{
			name:  "a hardlink to a lower file that this layer deletes later",
			lower: entries{File("a", "old")}, layer: entries{Hardlink("b", "a"), File(".wh.a", "")},
			notes: "link-before-target=1", strict: true, links: "b->a", whiteouts: ".", merged: "",
		},
		{
			name:  "a hardlink to a lower file whose directory this layer deletes or hides later",
			lower: entries{File("d/a", "old"), File("e/a", "old")}, layer: entries{Hardlink("b", "d/a"), Hardlink("c", "e/a"), File(".wh.d", ""), File("e/.wh..wh..opq", "")},
			notes: "link-before-target=2", strict: true, links: "b->d/a c->e/a", whiteouts: ".", merged: "e/",
		},
		{
			name:  "a hardlink to a lower file that this layer hides",
			layer: entries{File("d/.wh..wh..opq", ""), Hardlink("b", "d/a")}, fails: unpack.ErrMalformed, says: "hides",
		},
		{
			name:   "a hardlink through a symlink that leads over a missing name",
			layer:  entries{File("etc/passwd", "x"), Symlink("l", "nothing/../etc"), Symlink("m", "no/no/../../l"), Hardlink("a", "l/passwd"), Hardlink("b", "m/passwd"), Hardlink("c", "none/../etc/passwd")},
			merged: "a: x\nb: x\nc: x\netc/\netc/passwd: x\nl -> nothing/../etc\nm -> no/no/../../l",
		},
		{
			name: "a hardlink over a missing name to a lower file", lower: entries{File("x/y", "y")},
			layer: entries{Symlink("l", "nothing/../x"), Hardlink("a", "l/y")}, links: "a->x/y", whiteouts: ".", merged: "-",
		},
		{name: "a hardlink to a whiteout's name", layer: entries{Hardlink("b", ".wh.a")}, fails: unpack.ErrMalformed, says: "no name in a layer"},
	})
}

func TestTypesAndDevices(t *testing.T) {
	char := func(name string, major, minor int64) Entry {
		return Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeChar, Devmajor: major, Devminor: minor, Mode: 0o666}}
	}
	var withData []layerCase
	for _, typeflag := range "123456" {
		withData = append(withData, layerCase{
			name:  fmt.Sprintf("data in an entry of type %c", typeflag),
			raw:   RawTar(RawEntry{Name: "a", Linkname: "b", Type: byte(typeflag), Major: 1, Minor: 3, Body: "payload"}),
			fails: unpack.ErrMalformed, says: "checksum",
		})
	}
	runCases(t, withData)
	runCases(t, []layerCase{
		{
			name: "a size without data", notes: "duplicate-path=1 size-ignored=4", strict: true, merged: "a: a\nd/\nd/x: x\nh: a\ns -> a",
			raw: RawTar(RawEntry{Name: "a", Type: '0', Mode: 0o644, Body: "a"}, RawEntry{Name: "h", Linkname: "a", Type: '1', Size: 5}, RawEntry{Name: "s", Linkname: "a", Type: '2', Size: 1},
				RawEntry{Name: "d/", Type: '5', Mode: 0o755, Size: 4096}, RawEntry{Name: "d/x", Type: '0', Mode: 0o644, Body: "x"}, RawEntry{Name: "d/", Mode: 0o755, Size: 100, Magic: "none"}),
		},
	})
	for _, typeflag := range "sVMDNZ" {
		runCases(t, []layerCase{{
			name: fmt.Sprintf("an entry of type %c", typeflag), raw: RawTar(RawEntry{Name: "a", Type: byte(typeflag)}),
			fails: unpack.ErrMalformed, says: "of type",
		}})
	}
	runCases(t, []layerCase{
		{
			name:  "a device 0/0 is no whiteout",
			lower: entries{File("a", "kept")}, layer: entries{char("a", 0, 0)},
			strict: true, notes: "null-device-dropped=1", merged: "a: kept",
		},
		{
			name:  "a block device 0/0",
			layer: entries{with(char("b", 0, 0), func(e *Entry) { e.Typeflag = tar.TypeBlock })},
			check: checkDevice("b", "b block 0:0"), merged: "-", notes: "-",
		},
		{
			name: "device nodes", layer: entries{char("null", 1, 3), with(char("sda", 8, 0), func(e *Entry) { e.Typeflag = tar.TypeBlock })},
			check: func(t *testing.T, dir string, r unpack.Result) {
				checkDevice("null", "null char 1:3")(t, dir, r)
				checkDevice("sda", "sda block 8:0")(t, dir, r)
			},
			merged: "-", notes: "-",
		},
		{
			name: "device nodes left out", layer: entries{char("null", 1, 3), File("a", "a")}, o: unpack.Options{Devices: unpack.SkipDevices, Strict: true},
			notes: "device-skipped=1", merged: "a: a",
		},
		{
			name:  "another name of a device node left out",
			layer: entries{char("null", 1, 3), Hardlink("zero", "null"), Hardlink("again", "zero"), File("a", "a")}, o: unpack.Options{Devices: unpack.SkipDevices},
			notes: "device-skipped=3", merged: "a: a",
		},
		{
			name: "device nodes refused", layer: entries{char("null", 1, 3)}, o: unpack.Options{Devices: unpack.RefuseDevices},
			fails: unpack.ErrMalformed, says: "device",
		},
		{name: "a negative device number", raw: RawTar(RawEntry{Name: "d", Type: '3', Major: -1}), fails: unpack.ErrMalformed, says: "-1:0"},
		{name: "a device number beyond 32 bits", raw: RawTar(RawEntry{Name: "d", Type: '4', Minor: 1 << 33}), fails: unpack.ErrMalformed, says: "8589934592"},
		{name: "a device number that nothing encodes", raw: RawTar(RawEntry{Name: "d", Type: '3', Major: 4096}), fails: unpack.ErrMalformed, says: "4096"},
		{
			name:  "a FIFO",
			layer: entries{Entry{Header: tar.Header{Name: "f", Typeflag: tar.TypeFifo, Mode: 0o620}}}, merged: "f fifo",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				equal(t, "mode", fmt.Sprintf("%o", stat(t, dir, "f").Mode), "10620")
			},
		},
		{name: "a contiguous file is a regular one", raw: RawTar(RawEntry{Name: "a", Type: '7', Body: "a"}), merged: "a: a"},
		{
			name: "set-id bits, sticky bit and bits beyond",
			raw: RawTar(RawEntry{Name: "suid", Type: '0', Mode: 0o4755, UID: 3, GID: 4}, RawEntry{Name: "all", Type: '0', Mode: 0o177777},
				RawEntry{Name: "sticky", Type: '5', Mode: 0o3777, GID: 4}, RawEntry{Name: "sticky/f", Type: '0'}),
			merged: "all:\nsticky/\nsticky/f:\nsuid:",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				for name, want := range map[string]uint32{"suid": 0o104755, "all": 0o107777, "sticky": 0o43777} {
					if got := stat(t, dir, name).Mode; got != want {
						t.Errorf("mode of %s = %o, want %o", name, got, want)
					}
				}
			},
		},
	})
}

func checkDevice(name, want string) func(*testing.T, string, unpack.Result) {
	return func(t *testing.T, dir string, r unpack.Result) {
		if !rootly(t) {
			if len(r.Notes) != 1 || r.Notes[0].Key != layer.NoteDevice {
				t.Errorf("notes = %v, want %s", r.Notes, layer.NoteDevice)
			}
			return
		}
		equal(t, "device", describe(filepath.Join(dir, name), name), want)
	}
}

func TestMoreLinksThanTheFilesystemTakes(t *testing.T) {
	if !full() {
		t.Skip("makes 65,000 links: LAYERCTL_FULL=1 runs it")
	}
	es := entries{File("a", "")}
	for i := range 65_001 {
		es = append(es, Hardlink(fmt.Sprintf("l/%d", i), "a"))
	}
	dir := tempDir(t)
	r, err := unpackInto(t, dir, Tar(es...), unpack.Source{}, unpack.Options{})
	if err == nil {
		t.Skipf("this filesystem takes %d links", r.Entries)
	}
	equal(t, "error", err.Error(), `link "l/64999" to "a": more names than the filesystem gives one file: too many links`)
}
