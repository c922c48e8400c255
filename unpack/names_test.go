// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/unpack"
	"golang.org/x/sys/unix"
)

func TestNamesAndPaths(t *testing.T) {
	long := strings.Repeat("n", 200)
	deep := strings.Repeat(long+"/", 15) + "f"
	runCases(t, []layerCase{
		{
			name: "a path that leads out with ..", layer: entries{File("../canary/x", "pwned")},
			fails: unpack.ErrMalformed, says: `entry "../canary/x" at byte 0`,
		},
		{name: "an absolute path", layer: entries{File("/abs", "a"), File("//a///b", "b")}, merged: "a/\na/b: b\nabs: a"},
		{name: "an absolute path of the host", layer: entries{File("CANARY/keep", "pwned")}, merged: "-"},
		{name: "a .. that stays inside", layer: entries{File("a/../b", "b"), Dir("d/", 0o755), File("d/../c", "c"), File("d/x/../../d/y", "y")}, notes: "dot-dot=3", strict: true, merged: "b: b\nc: c\nd/\nd/y: y"},
		{name: "a .. that leads to the root", layer: entries{Dir("d/..", 0o755), File("d/.././e", "e")}, notes: "dot-dot=2", strict: true, merged: "e: e"},
		{name: "a .. behind a file and what is deleted", layer: entries{File("f", "f"), File("f/../g", "g"), File(".wh.gone", ""), File("gone/../h", "h")}, lower: entries{File("gone", "")}, notes: "dot-dot=2", whiteouts: ".", strict: true, merged: "f: f\ng: g\nh: h"},
		{name: "a whiteout by ..", lower: entries{File("a", "a"), File("b", "b")}, layer: entries{File("d/../.wh.a", "")}, notes: "dot-dot=1", whiteouts: ".", strict: true, merged: "b: b"},
		{name: "a .. behind a symlink", layer: entries{Symlink("l", "CANARY"), File("l/../keep", "pwned")}, fails: unpack.ErrMalformed, says: "behind the symlink"},
		{name: "a .. behind a symlink below a symlink", layer: entries{Symlink("d/l", "CANARY"), Symlink("e", "d"), File("e/l/../keep", "pwned")}, fails: unpack.ErrMalformed, says: "behind the symlink"},
		{name: "a .. below a symlink", layer: entries{Dir("d/x/", 0o755), Symlink("e", "d"), File("e/x/../f", "f")}, notes: "dot-dot=1", strict: true, merged: "d/\nd/f: f\nd/x/\ne -> d"},
		{name: "a .. that leads out later", layer: entries{File("a/../../canary/x", "pwned")}, fails: unpack.ErrMalformed, says: "leads out"},
		{name: "a .. of an absolute path that leads out", layer: entries{File("/../canary/x", "pwned")}, fails: unpack.ErrMalformed, says: "leads out"},
		{name: "very many ..", layer: entries{File(strings.Repeat("a/../", 100)+"b", "")}, fails: unpack.ErrMalformed, says: "more than 64"},
		{
			name:  "a symlink to a host path is followed inside the layer",
			layer: entries{Symlink("lnk", "CANARY"), File("lnk/keep", "inside"), Symlink("var/run", "/run"), File("var/run/x", "x")},
			check: func(t *testing.T, dir string, _ unpack.Result) {
				equal(t, "run/x", describe(dir+"/run/x", "run/x"), "run/x: x")
			},
			merged: "-",
		},
		{
			name:   "a symlink with .. is followed inside the layer",
			layer:  entries{Symlink("lnk", "../canary"), File("lnk/keep", "inside"), Dir("d/", 0o755), Symlink("d/up", "../e"), File("d/up/f", "f")},
			merged: "canary/\ncanary/keep: inside\nd/\nd/up -> ../e\ne/\ne/f: f\nlnk -> ../canary",
		},
		{
			name:   "symlink targets are kept as they are",
			layer:  entries{Symlink("cacerts", "../../../../../../../../../../etc/pki/java/cacerts"), Symlink("long", long)},
			merged: "cacerts -> ../../../../../../../../../../etc/pki/java/cacerts\nlong -> " + long,
		},
		{name: "an empty symlink target", raw: RawTar(RawEntry{Name: "l", Type: '2'}), fails: unpack.ErrMalformed, says: "symlink target"},
		{
			name: "a symlink target that is too long", raw: RawTar(PAX("linkpath", strings.Repeat("l", 4096)), RawEntry{Name: "l", Type: '2'}),
			fails: unpack.ErrMalformed, says: "symlink target of 4096 bytes",
		},
		{
			name:  "a loop of symlinks as parent",
			layer: entries{Symlink("a", "b"), Symlink("b", "a"), File("a/x", "")}, fails: unpack.ErrMalformed, says: "40 symlinks",
		},
		{name: "a chain of symlinks that is too long", layer: chain(41), fails: unpack.ErrMalformed, says: "40 symlinks"},
		{
			name: "a chain of symlinks that is long enough", layer: chain(40), merged: "-",
			check: func(t *testing.T, dir string, _ unpack.Result) { equal(t, "end", describe(dir+"/end/x", "x"), "x: x") },
		},
		{
			name:   "a directory replaced by a symlink before more is written below it",
			layer:  entries{Dir("s/", 0o700), File("s/x", "x"), Symlink("s", "CANARY"), File("s/pwn", "p")},
			strict: true, notes: "duplicate-path=1", merged: "-",
		},
		{
			name:   "a symlink replaced by a directory",
			lower:  entries{File("s/old", "old")},
			layer:  entries{Symlink("s", "CANARY"), Dir("s/", 0o755), File("s/x", "x")},
			strict: true, notes: "duplicate-path=1", merged: "s/\ns/x: x",
		},
		{name: "the root as a file", raw: RawTar(RawEntry{Name: "./", Type: '0'}), fails: unpack.ErrMalformed, says: "root"},
		{name: "the root as a symlink", raw: RawTar(RawEntry{Name: ".", Type: '2', Linkname: "/etc"}), fails: unpack.ErrMalformed, says: "root"},
		{
			name:  "the root's own attributes",
			layer: entries{with(Dir("./", 0o700), func(e *Entry) { e.Uid = 5 }), File("a", "")},
			check: checkRoot, merged: "a: ",
		},
		{name: "an empty name", raw: RawTar(RawEntry{Type: '0'}), fails: unpack.ErrMalformed, says: "empty name"},
		{name: "a NUL in a PAX path", raw: RawTar(PAX("path", "a\x00b"), RawEntry{Name: "a", Type: '0'}), fails: unpack.ErrMalformed, says: "PAX"},
		{
			name: "a name of 256 bytes", layer: entries{File(strings.Repeat("n", 256), "")},
			fails: unpack.ErrMalformed, says: "a name of 256 bytes",
		},
		{name: "a name of 255 bytes", layer: entries{File(strings.Repeat("n", 255), "")}, merged: strings.Repeat("n", 255) + ":"},
		{
			name: "a long path", layer: entries{File(deep, "deep")}, merged: "-",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				equal(t, "content", describe(dir+"/"+deep, "f"), "f: deep")
			},
		},
		{
			name: "a path that is too long", layer: entries{File(strings.Repeat(long+"/", 21)+"f", "")},
			fails: unpack.ErrMalformed, says: "more than 4095",
		},
		{
			name:   "names with newline, escape and bytes that are no text",
			layer:  entries{File("new\nline", "n"), File("e\x1b[31m", "e"), File("\xff\xfe", "b")},
			merged: "e\x1b[31m: e\nnew\nline: n\n\xff\xfe: b",
		},
		{name: "such a name in an error", layer: entries{File("../e\x1b[31m\n/x", "")}, fails: unpack.ErrMalformed, says: `"../e\x1b[31m\n/x"`},
		{name: "names that differ only in case", layer: entries{File("A", "1"), File("a", "2")}, merged: "A: 1\na: 2"},
		{
			name:   "a file with a trailing slash",
			raw:    RawTar(RawEntry{Name: "s/", Type: '0', Body: "s"}, PAX("path", "foo/"), RawEntry{Name: "x", Type: '0', Body: "f"}),
			merged: "foo: f\ns: s",
		},
		{name: "an old directory, marked by its slash only", raw: RawTar(RawEntry{Name: "d/", Magic: "none", Mode: 0o755}), merged: "d/"},
		{
			name: "a path twice", layer: entries{File("a", "first"), File("a", "second"), Dir("d", 0o700), Dir("d", 0o755)},
			strict: true, notes: "duplicate-path=2", merged: "a: second\nd/",
		},
		{name: "a file below a file", layer: entries{File("a", ""), File("a/b", "")}, fails: unpack.ErrMalformed, says: `below "a", which is no directory`},
		{
			name:  "parents without an entry",
			lower: entries{Dir("tmp/", 0o1777)}, layer: entries{File("tmp/x/y", "y")},
			implied: ". tmp tmp/x", merged: "tmp/\ntmp/x/\ntmp/x/y: y",
			check: checkImplied,
		},
		{
			name:  "a parent whose entry comes after its child",
			layer: entries{File("d/x", "x"), Dir("d", 0o700)}, implied: ".", merged: "d/\nd/x: x",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				equal(t, "mode", fmt.Sprintf("%o", stat(t, dir, "d").Mode), "40700")
			},
		},
		{
			name:   "a directory without write permission and what is in it",
			layer:  entries{Dir("ro/", 0o555), File("ro/x", "x"), Dir("ro/sub/", 0o500), File("ro/sub/y", "y")},
			merged: "ro/\nro/sub/\nro/sub/y: y\nro/x: x",
			check: func(t *testing.T, dir string, _ unpack.Result) {
				st := stat(t, dir, "ro")
				// In the form without marks its owner may still write; what the
				// journal says is compared elsewhere.
				equal(t, "mode and time", fmt.Sprintf("%o %d", st.Mode&^0o200, st.Mtim.Sec), fmt.Sprintf("40555 %d", ModTime.Unix()))
			},
		},
	})
}

// chain is n symlinks, each to the next, the last to a directory, and a file
// through all of them.
func chain(n int) entries {
	es := entries{Dir("end", 0o755)}
	for i := range n {
		next := fmt.Sprintf("l%d", i+1)
		if i == n-1 {
			next = "end"
		}
		es = append(es, Symlink(fmt.Sprintf("l%d", i), next))
	}
	return append(es, File("l0/x", "x"))
}

func checkRoot(t *testing.T, dir string, r unpack.Result) {
	st := stat(t, dir, ".")
	if got, want := st.Mode&0o7777, uint32(0o700); got != want {
		t.Errorf("mode of the root = %o, want %o", got, want)
	}
	if got, want := st.Uid, uint32(5); rootly(t) && got != want {
		t.Errorf("owner of the root = %d, want %d", got, want)
	}
	if got, want := st.Mtim.Sec, ModTime.Unix(); int64(got) != want {
		t.Errorf("time of the root = %d, want %d", got, want)
	}
	if len(r.Implied) != 0 {
		t.Errorf("implied = %v, want none", r.Implied)
	}
}

func checkImplied(t *testing.T, dir string, _ unpack.Result) {
	for _, name := range []string{".", "tmp", "tmp/x"} {
		st := stat(t, dir, name)
		if st.Mode != unix.S_IFDIR|0o755 || st.Mtim != (unix.Timespec{}) || (rootly(t) && st.Uid != 0) {
			t.Errorf("%s has mode %o, owner %d, time %v, want 0755, 0 and 1970", name, st.Mode, st.Uid, st.Mtim)
		}
	}
}
