// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	"golang.org/x/sys/unix"
)

// xattred is an entry of a type with extended attributes.
func xattred(typeflag byte, name string, pairs ...string) []byte {
	var records []string
	for i := 0; i < len(pairs); i += 2 {
		records = append(records, "SCHILY.xattr."+pairs[i], pairs[i+1])
	}
	e := RawEntry{Name: name, Type: typeflag, Mode: 0o644}
	switch typeflag {
	case '2':
		e.Linkname = "target"
	case '5':
		e.Mode = 0o755
	}
	return RawTar(PAX(records...), e)
}

// xattrMap is the attributes of a path but for the host's own.
func xattrMap(t *testing.T, path string) map[string]string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := unix.Llistxattr(path, b)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for name := range strings.SplitSeq(string(b[:n]), "\x00") {
		if name == "" || name == "security.selinux" {
			continue
		}
		v := make([]byte, 65536)
		readable(path, func() { n, err = unix.Lgetxattr(path, name, v) })
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(v[:n])
	}
	return out
}

func xattrsOf(t *testing.T, path string) string {
	t.Helper()
	m := xattrMap(t, path)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%q", name, m[name]))
	}
	return strings.Join(out, " ")
}

func has(name, want string) func(*testing.T, string, unpack.Result) {
	return func(t *testing.T, dir string, _ unpack.Result) {
		equal(t, "xattrs of "+name, xattrsOf(t, filepath.Join(dir, name)), want)
	}
}

func TestXattrsThatAreDropped(t *testing.T) {
	lower := entries{File("d/secret", "s"), File("d/old", "old")}
	const both = "d/\nd/old: old\nd/secret: s"
	var cases []layerCase
	for _, namespace := range []string{"trusted", "user"} {
		for name, value := range map[string]string{"opaque": "y", "redirect": "/d", "metacopy": "", "whiteout": "", "origin": "x", "protattr": "i", "overlay.opaque": "y"} {
			cases = append(cases, layerCase{
				name: namespace + ".overlay." + name, lower: lower, raw: xattred('5', "d", namespace+".overlay."+name, value),
				strict: true, notes: "xattr-overlay=1", merged: both, check: has("d", ""),
			})
		}
	}
	cases = append(cases,
		layerCase{
			name: "overlay's marks on a file", lower: lower, raw: xattred('0', "d/secret", "trusted.overlay.metacopy", "", "trusted.overlay.redirect", "/etc/shadow", "user.overlay.whiteout", ""),
			strict: true, notes: "xattr-overlay=3", merged: "d/\nd/old: old\nd/secret:",
		},
		layerCase{name: "user.fuseoverlayfs", raw: xattred('5', "d", "user.fuseoverlayfs.opaque", "y"), strict: true, notes: "xattr-overlay=1", merged: "d/", check: has("d", "")},
		layerCase{name: "another of trusted", raw: xattred('0', "f", "trusted.x", "1"), strict: true, notes: "xattr-trusted=1", merged: "f:", check: has("f", "")},
		layerCase{name: "override_stat", raw: xattred('0', "f", "user.containers.override_stat", "0:0:755"), strict: true, notes: "xattr-containers=1", merged: "f:", check: has("f", "")},
		layerCase{name: "nfs4_acl", raw: xattred('0', "f", "system.nfs4_acl", "x"), strict: true, notes: "xattr-nfs4-acl=1", merged: "f:", check: has("f", "")},
		layerCase{name: "user on a symlink", raw: xattred('2', "l", "user.x", "1"), strict: true, notes: "xattr-on-type=1", merged: "l -> target", check: has("l", "")},
		layerCase{name: "user on a FIFO", raw: xattred('6', "p", "user.x", "1"), strict: true, notes: "xattr-on-type=1", merged: "p fifo", check: has("p", "")},
		layerCase{
			name: "records of libarchive", raw: RawTar(PAX("LIBARCHIVE.xattr.user.x", "MQ", "LIBARCHIVE.creationtime", "1"), RawEntry{Name: "f", Type: '0'}),
			strict: true, notes: "xattr-libarchive=1", merged: "f:", check: has("f", ""),
		},
	)
	for _, name := range []string{"selinux", "ima", "evm", "apparmor"} {
		cases = append(cases, layerCase{name: "security." + name, raw: xattred('0', "f", "security."+name, "x"), strict: true, notes: "xattr-security=1", merged: "f:", check: has("f", "")})
	}
	runCases(t, cases)
}

func TestXattrsThatAreKept(t *testing.T) {
	runCases(t, []layerCase{
		{name: "user on a file", raw: xattred('0', "f", "user.x", "1\x00\n", "user.empty", ""), merged: "f:", check: func(t *testing.T, dir string, r unpack.Result) {
			got := xattrsOf(t, dir+"/f")
			for _, want := range []string{`user.x="1\x00\n"`, `user.empty=""`} {
				if !strings.Contains(got, want) {
					t.Errorf("xattrs = %s, want %s", got, want)
				}
			}
		}},
		{name: "user on a directory", raw: xattred('5', "d", "user.x", "1"), merged: "d/", check: has("d", `user.x="1"`)},
		{
			name: "the last of two directory entries", raw: append(xattred('5', "d", "user.x", "1", "user.z", "3")[:1536], xattred('5', "d", "user.y", "2")...),
			strict: true, notes: "duplicate-path=1", merged: "d/", check: has("d", `user.y="2"`),
		},
		{
			name: "a record twice", raw: RawTar(PAX("SCHILY.xattr.user.x", "1", "SCHILY.xattr.user.x", "2"), RawEntry{Name: "f", Type: '0'}),
			strict: true, notes: "pax-repeated=1", merged: "f:", check: has("f", `user.x="2"`),
		},
	})
}

// What Linux or the filesystem cannot hold is left out and counted.
func TestXattrsThatCannotBeSet(t *testing.T) {
	runCases(t, []layerCase{
		{name: "an empty name", raw: xattred('0', "f", "", "x"), notes: "xattr-namespace=1", strict: true, merged: "f:"},
		{name: "a namespace without a name", raw: xattred('0', "f", "user.", "x"), notes: "xattr-namespace=1", strict: true, merged: "f:"},
		{name: "a bare name", raw: xattred('0', "f", "comment", "x"), notes: "xattr-namespace=1", strict: true, merged: "f:"},
		{name: "attributes of macOS", raw: xattred('5', "d", "com.apple.provenance", "\x01", "com.apple.ResourceFork", strings.Repeat("v", 70_000)), notes: "xattr-namespace=2", strict: true, merged: "d/"},
		{name: "an attribute of the system that Linux does not have", raw: xattred('0', "f", "system.Security", "1"), notes: "xattr-namespace=1", strict: true, merged: "f:"},
		{name: "of a symlink", raw: xattred('2', "f", "com.apple.x", "1"), notes: "xattr-namespace=1", strict: true, merged: "-"},
		{name: "a name of 256 bytes", raw: xattred('0', "f", "user."+strings.Repeat("n", 251), "x"), notes: "xattr-unsupported=1", strict: true, merged: "f:"},
		{name: "a value of more than 64 KiB", raw: xattred('0', "f", "user.x", strings.Repeat("v", 65537)), notes: "xattr-unsupported=1", strict: true, merged: "f:"},
	})
}

func TestXattrsThatAreRefused(t *testing.T) {
	runCases(t, []layerCase{
		{name: "an ACL of another version", raw: xattred('0', "f", "system.posix_acl_access", "\x03\x00\x00\x00"), fails: unpack.ErrMalformed, says: "POSIX ACL"},
		{name: "an ACL cut short", raw: xattred('0', "f", "system.posix_acl_access", "\x02\x00\x00\x00\x01\x00"), fails: unpack.ErrMalformed, says: "POSIX ACL"},
		{name: "an ACL that the kernel refuses", raw: xattred('0', "f", "system.posix_acl_access", acl(0x40, 0x40)), fails: unpack.ErrMalformed, says: "POSIX ACL"},
		{name: "a capability of revision 1", raw: xattred('0', "f", "security.capability", "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), fails: unpack.ErrMalformed, says: "capability"},
		{name: "a capability of 19 bytes", raw: xattred('0', "f", "security.capability", capability2()[:19]), fails: unpack.ErrMalformed, says: "capability"},
		{name: "a capability of 2 bytes", raw: xattred('0', "f", "security.capability", "\x00\x00"), fails: unpack.ErrMalformed, says: "capability"},
	})
}

// capability2 is cap_net_raw=ep.
func capability2() string {
	b := binary.LittleEndian.AppendUint32(nil, 2<<24|1)
	for _, n := range []uint32{1 << 13, 0, 0, 0} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return string(b)
}

// acl is an ACL with entries of these tags, all with permission to read.
func acl(tags ...uint16) string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, tag := range tags {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, 4)
		b = binary.LittleEndian.AppendUint32(b, 7)
	}
	return string(b)
}

func TestCapability(t *testing.T) {
	tar := RawTar(PAX("SCHILY.xattr.security.capability", capability2()), RawEntry{Name: "ping", Type: '0', Mode: 0o4755, UID: 1, Body: "x"})
	runCases(t, []layerCase{
		{
			name: "on a file", raw: tar, merged: "ping: x", notes: "-",
			check: func(t *testing.T, dir string, r unpack.Result) {
				want := fmt.Sprintf("security.capability=%q", capability2())
				if !rootly(t) {
					want = ""
					equal(t, "notes", fmt.Sprint(r.Notes), "[{capability-skipped 1 ping}]")
				}
				equal(t, "xattrs", xattrsOf(t, dir+"/ping"), want)
				equal(t, "mode", fmt.Sprintf("%o", stat(t, dir, "ping").Mode), "104755")
			},
		},
		{name: "on a directory", raw: xattred('5', "d", "security.capability", capability2()), strict: true, notes: "xattr-on-type=1", merged: "d/"},
	})
}

// The entries of ACLs (acl(5)): owner, group, mask, others.
const (
	aclUser  = 0x01
	aclGroup = 0x04
	aclMask  = 0x10
	aclOther = 0x20
)

func TestDefaultACLDoesNotPassToTheLayersFiles(t *testing.T) {
	dir := tempDir(t)
	j := make(journal)
	raw := RawTar(PAX("SCHILY.xattr.system.posix_acl_access", acl(aclUser, aclGroup, aclMask, aclOther), "SCHILY.xattr.system.posix_acl_default", acl(aclUser, aclGroup, aclMask, aclOther)),
		RawEntry{Name: "d", Type: '5', Mode: 0o755}, RawEntry{Name: "d/f", Type: '0', Mode: 0o666}, RawEntry{Name: "d/e/g", Type: '0', Mode: 0o666})
	if _, err := unpackInto(t, dir, raw, unpack.Source{}, unpack.Options{Record: j.record}); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		j.check(t, dir, unpack.Options{})
	}
	if got, want := xattrsOf(t, dir+"/d"), "system.posix_acl_default="; !strings.Contains(got, want) {
		t.Skipf("no ACLs on this filesystem: %q", got)
	}
	for _, name := range []string{"d/f", "d/e", "d/e/g"} {
		equal(t, "xattrs of "+name, xattrsOf(t, dir+"/"+name), "")
	}
	equal(t, "mode", fmt.Sprintf("%o", stat(t, dir, "d/f").Mode), "100666")
}

// An attribute is on the disk or in the notes, never lost without a word, and
// strict takes no filesystem that cannot hold it.
func TestXattrTooLargeForTheFilesystem(t *testing.T) {
	raw := xattred('0', "f", "user.x", strings.Repeat("v", 60000))
	dir := tempDir(t)
	result, err := unpackInto(t, dir, raw, unpack.Source{}, unpack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stored := strings.Contains(xattrsOf(t, dir+"/f"), "user.x=")
	noted := slices.ContainsFunc(result.Notes, func(n unpack.Note) bool { return n.Key == layer.NoteXattrSupport && n.Count == 1 })
	if stored == noted {
		t.Errorf("the attribute is on the disk: %v, in the notes: %v", stored, noted)
	}
	_, err = unpackInto(t, tempDir(t), raw, unpack.Source{}, unpack.Options{Strict: true})
	if refused := errors.Is(err, unpack.ErrMalformed); refused != noted {
		t.Errorf("strict: %v, though the filesystem holds it: %v", err, stored)
	}
}

// The marks of a store are in one namespace only: the other would be an
// ordinary attribute of the mounted tree.
func TestMarksAreInTheStoresNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: trusted attributes")
	}
	tar := Tar(File("d/.wh..wh..opq", ""), File("e/.wh.x", ""))
	for _, c := range []struct {
		o           unpack.Options
		d, e, wh    string
		whiteoutDev bool
	}{
		{unpack.Options{}, `trusted.overlay.opaque="y"`, "", "", true},
		{unpack.Options{Form: layer.Form{Xattrs: layer.UserXattrs}}, `user.overlay.opaque="y"`, "", "", true},
		{unpack.Options{Form: layer.Form{Whiteouts: layer.XattrMarks}}, `trusted.overlay.opaque="y"`, `trusted.overlay.opaque="x"`, `trusted.overlay.whiteout=""`, false},
		{unpack.Options{Form: layer.Form{Whiteouts: layer.XattrMarks, Xattrs: layer.UserXattrs}}, `user.overlay.opaque="y"`, `user.overlay.opaque="x"`, `user.overlay.whiteout=""`, false},
	} {
		dir := tempDir(t)
		if _, err := unpackInto(t, dir, tar, unpack.Source{}, c.o); err != nil {
			t.Fatal(err)
		}
		equal(t, "opaque directory", xattrsOf(t, dir+"/d"), c.d)
		equal(t, "directory with a whiteout", xattrsOf(t, dir+"/e"), c.e)
		equal(t, "whiteout", xattrsOf(t, dir+"/e/x"), c.wh)
		if got := stat(t, dir, "e/x").Mode&unix.S_IFMT == unix.S_IFCHR; got != c.whiteoutDev {
			t.Errorf("whiteout is a device: %v, want %v", got, c.whiteoutDev)
		}
	}
}
