// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	"golang.org/x/sys/unix"
)

// full says whether tests that take long are run in full, as in CI.
func full() bool { return os.Getenv("LAYERCTL_FULL") == "1" }

type entries = []imagetest.Entry

// layerCase is one layer and what must become of it. CANARY in a name or a
// link stands for the path of a directory outside.
type layerCase struct {
	name  string
	lower entries // the layer below; an empty one where there is none
	layer entries
	raw   []byte // the tar, in place of layer
	blob  []byte // the blob, in place of raw
	typ   string // media type
	o     unpack.Options
	// fails is what errors.Is must find, says what the message must hold.
	fails error
	says  string
	// strict is true where Strict must refuse what is accepted otherwise.
	strict bool
	// What follows is not looked at where it is "-".
	notes  string // "key=count key=count"
	merged string // the view over lower, a line each
	// links, implied and whiteouts are what Result lists, in one line each.
	links, implied, whiteouts string
	check                     func(t *testing.T, dir string, r unpack.Result)
}

// form is a kind of store.
type form struct {
	name string
	o    unpack.Options
	opt  string // of the mount
}

var forms = []form{
	{"chardev trusted", unpack.Options{}, ""},
	{"xattr trusted", unpack.Options{Form: layer.Form{Whiteouts: layer.XattrMarks}}, ""},
	{"chardev user squashed", unpack.Options{Form: layer.Form{Xattrs: layer.UserXattrs, IDs: layer.SquashedIDs}}, ",userxattr"},
	{"xattr user", unpack.Options{Form: layer.Form{Whiteouts: layer.XattrMarks, Xattrs: layer.UserXattrs}}, ",userxattr"},
}

// journalOnly is what is not for a mount.
func journalOnly() form {
	if os.Geteuid() != 0 {
		return form{"journal only squashed", unpack.Options{Form: layer.Form{Whiteouts: layer.JournalOnly, IDs: layer.SquashedIDs}}, ""}
	}
	return form{"journal only", unpack.Options{Form: layer.Form{Whiteouts: layer.JournalOnly}}, ""}
}

// runCases runs each case in every form, or in short each in two of them: the
// squashed one, which any user can make, and another in turn. In full, what a
// store of tars shows is compared with what one of directories does.
func runCases(t *testing.T, cases []layerCase) {
	t.Helper()
	all := append(slices.Clone(forms), journalOnly())
	stores := newLowers(t)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if stores != nil && c.o.Devices == unpack.MakeDevices {
				t.Run("as a tar", func(t *testing.T) { stores.compare(t, c) })
			}
			for at, f := range all {
				if !full() && f.o.IDs != layer.SquashedIDs && at != i%len(all) {
					continue
				}
				if os.Geteuid() != 0 && f.o.IDs != layer.SquashedIDs {
					continue // the others need root
				}
				t.Run(f.name, func(t *testing.T) { c.run(t, f) })
			}
		})
	}
}

func (c layerCase) run(t *testing.T, f form) {
	top := tempDir(t)
	canary := newCanary(t, filepath.Join(top, "canary"))
	lower, dir := filepath.Join(top, "lower"), filepath.Join(top, "layer")
	mkdir(t, lower)
	mkdir(t, dir)
	if _, err := layerInto(t, lower, imagetest.Tar(c.lower...), "", f.o); err != nil {
		t.Fatalf("lower layer: %v", err)
	}
	blob := c.bytes(canary.dir)
	o := c.options(f)
	j := make(journal)
	o.Record = j.record
	r, err := layerInto(t, dir, blob, c.typ, o)
	canary.check(t)
	if f.name == forms[0].name && o.Devices == unpack.MakeDevices { // reading makes none, so it knows no other policy
		checkRead(t, blob, c.typ, o, unpacked{j, r, err})
	}
	c.checkError(t, err)
	if c.strict {
		o.Strict, o.Record = true, nil
		mkdir(t, filepath.Join(top, "strict"))
		_, err := layerInto(t, filepath.Join(top, "strict"), blob, c.typ, o)
		if !errors.Is(err, unpack.ErrMalformed) {
			t.Errorf("strict: error = %v, want ErrMalformed", err)
		}
		canary.check(t)
	}
	if err == nil {
		c.checkResult(t, dir, r)
		j.check(t, dir, f.o)
		if f.o.Whiteouts != layer.JournalOnly {
			c.checkMerged(t, f, top)
		}
	}
}

func (c layerCase) options(f form) unpack.Options {
	o := f.o
	o.Strict, o.Limits, o.Devices = c.o.Strict, c.o.Limits, c.o.Devices
	return o
}

func (c layerCase) bytes(canary string) []byte {
	if c.blob != nil {
		return c.blob
	}
	if c.raw != nil {
		return c.raw
	}
	layer := slices.Clone(c.layer)
	for i := range layer {
		layer[i].Name = strings.ReplaceAll(layer[i].Name, "CANARY", canary)
		layer[i].Linkname = strings.ReplaceAll(layer[i].Linkname, "CANARY", canary)
	}
	return imagetest.Tar(layer...)
}

func layerInto(t *testing.T, dir string, blob []byte, mediaType string, o unpack.Options) (unpack.Result, error) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return unpack.Layer(t.Context(), f, bytes.NewReader(blob), unpack.Source{MediaType: mediaType}, o)
}

func (c layerCase) checkError(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, c.fails) {
		t.Errorf("error = %v, want %v", err, c.fails)
	}
	if err != nil && !strings.Contains(err.Error(), c.says) {
		t.Errorf("error = %v, want it to say %q", err, c.says)
	}
	if err != nil && (len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\n\x1b")) {
		t.Errorf("error is long or has control characters: %q", err.Error())
	}
}

func (c layerCase) checkResult(t *testing.T, dir string, r unpack.Result) {
	t.Helper()
	var got []string
	for _, n := range r.Notes {
		got = append(got, fmt.Sprintf("%s=%d", n.Key, n.Count))
	}
	if c.notes != "-" {
		equal(t, "notes", strings.Join(got, " "), c.notes)
	}
	got = nil
	for _, l := range r.ForeignLinks {
		got = append(got, string(l.Path+"->"+l.Target))
	}
	if c.links != "-" {
		equal(t, "foreign links", strings.Join(got, " "), c.links)
	}
	got = nil
	for _, d := range r.Implied {
		s := string(d.Path)
		if d.Opaque != layer.Transparent {
			s += "," + string(rune(d.Opaque))
		}
		if d.Bare {
			s += ",bare"
		}
		got = append(got, s)
	}
	if c.implied != "" {
		equal(t, "implied", strings.Join(got, " "), c.implied)
	}
	equal(t, "directories with whiteouts", strings.Trim(fmt.Sprint(r.WhiteoutParents), "[]"), c.whiteouts)
	if c.check != nil {
		c.check(t, dir, r)
	}
}

func (c layerCase) checkMerged(t *testing.T, f form, top string) {
	t.Helper()
	if c.merged == "-" {
		return
	}
	if os.Geteuid() != 0 {
		t.Log("merged view not looked at: needs root to mount")
		return
	}
	m := filepath.Join(top, "merged")
	mkdir(t, m)
	opts := fmt.Sprintf("lowerdir=%s/layer:%s/lower%s", top, top, f.opt)
	if err := unix.Mount("layerctl-test", m, "overlay", unix.MS_RDONLY, opts); err != nil {
		t.Fatalf("mount overlay: %v", err)
	}
	defer func() {
		if err := unix.Unmount(m, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}()
	equal(t, "merged view", view(t, m), strings.TrimSpace(c.merged))
}

// view is one line for each path below dir: what it is, and its content.
func view(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err // a ghost: listed, but not there
		}
		if p != dir {
			lines = append(lines, describe(p, p[len(dir)+1:]))
		}
		return nil
	})
	if err != nil {
		t.Errorf("walk: %v", err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func describe(p, name string) string {
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return name + " " + err.Error()
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return name + "/"
	case unix.S_IFREG:
		var b []byte
		readable(p, func() { b, _ = os.ReadFile(p) })
		return strings.TrimSuffix(name+": "+string(b), " ")
	case unix.S_IFLNK:
		target, _ := os.Readlink(p)
		return name + " -> " + target
	case unix.S_IFIFO:
		return name + " fifo"
	case unix.S_IFCHR:
		name += " char"
	default:
		name += " block"
	}
	return fmt.Sprintf("%s %d:%d", name, unix.Major(st.Rdev), unix.Minor(st.Rdev))
}

// canary is a directory outside that no layer may touch.
type canary struct{ dir, was string }

func newCanary(t *testing.T, dir string) canary {
	t.Helper()
	mkdir(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "keep"), []byte("untouched"), 0o640); err != nil {
		t.Fatal(err)
	}
	c := canary{dir: dir}
	c.was = c.state(t)
	return c
}

func (c canary) state(t *testing.T) string {
	t.Helper()
	var lines []string
	for _, p := range []string{c.dir, filepath.Join(c.dir, "keep")} {
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(st.Mode, st.Uid, st.Gid, st.Size, st.Mtim, st.Nlink, st.Ino))
	}
	return strings.Join(append(lines, view(t, c.dir)), "\n")
}

func (c canary) check(t *testing.T) {
	t.Helper()
	if got := c.state(t); got != c.was {
		t.Fatalf("outside the layer = %s, want %s", got, c.was)
	}
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s =\n%s\nwant\n%s", what, got, want)
	}
}

// tempDir is t.TempDir with a path that needs no escape in mount options,
// whatever the test's name.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "unpack")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// removeAll is os.RemoveAll that opens directories which keep their owner
// out.
func removeAll(dir string) error {
	if os.Geteuid() != 0 {
		_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				return os.Chmod(p, 0o700)
			}
			return nil
		})
	}
	return os.RemoveAll(dir)
}

// readable makes a file readable to its owner for as long as fn runs.
func readable(p string, fn func()) {
	st := new(unix.Stat_t)
	if os.Geteuid() != 0 && unix.Lstat(p, st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o400 == 0 {
		_ = unix.Chmod(p, st.Mode&0o7777|0o400)
		defer func() { _ = unix.Chmod(p, st.Mode&0o7777) }()
	}
	fn()
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// stat is the mode, owner and time of a path of the layer.
func stat(t *testing.T, dir, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// rootly is true where the layer was unpacked with its owners.
func rootly(t *testing.T) bool { return !strings.Contains(t.Name(), "squashed") }

// with is the entry with its header changed.
func with(e imagetest.Entry, change func(*imagetest.Entry)) imagetest.Entry {
	change(&e)
	return e
}

// fingerprint is view with modes, owners, times and numbers of names.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := "." + p[len(dir):]
		st := stat(t, dir, name)
		fmt.Fprintf(&b, "%s %o %d:%d %d", describe(p, name), st.Mode, st.Uid, st.Gid, st.Nlink)
		if st.Mode&unix.S_IFMT != unix.S_IFCHR {
			fmt.Fprintf(&b, " %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		}
		fmt.Fprintln(&b)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return b.String()
}

// unpackQuietly is for goroutines.
func unpackQuietly(t *testing.T, dir string, blob []byte) error {
	return unpackFrom(t, dir, bytes.NewReader(blob))
}

// unpackPieces unpacks a blob that comes n bytes at a time.
func unpackPieces(t *testing.T, dir string, blob []byte, n int) error {
	return unpackFrom(t, dir, &pieces{blob, n})
}

func unpackFrom(t *testing.T, dir string, blob io.Reader) error {
	return unpackWith(t.Context(), dir, blob, unpack.Options{})
}

// unpackWith unpacks in a form that whoever runs the test may write.
func unpackWith(ctx context.Context, dir string, blob io.Reader, o unpack.Options) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if os.Geteuid() != 0 {
		o.IDs, o.Xattrs = layer.SquashedIDs, layer.UserXattrs
	}
	_, err = unpack.Layer(ctx, f, blob, unpack.Source{}, o)
	return err
}

type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.b)
	p.b = p.b[n:]
	return n, nil
}
