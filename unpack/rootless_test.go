// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// helper is set in the process that TestMain runs [unpack.Layer] in, with the
// options as JSON: the layer comes by stdin, the directory as descriptor 3.
const helper = "UNPACK_TEST_HELPER"

func TestMain(m *testing.M) {
	if o := os.Getenv(helper); o != "" {
		os.Exit(help(o))
	}
	os.Exit(disktest.Apart(m.Run))
}

// helperForm is what of the options goes to another process.
type helperForm struct {
	IDs    layer.IDs
	Memory bool // print /proc/self/status
}

func help(options string) int {
	var f helperForm
	if err := json.Unmarshal([]byte(options), &f); err != nil {
		panic(err)
	}
	o := unpack.Options{Form: layer.Form{Xattrs: layer.UserXattrs, IDs: f.IDs}}
	r, err := unpack.Layer(context.Background(), os.NewFile(3, "dir"), os.Stdin, unpack.Source{}, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(r.Notes)
	if f.Memory {
		status, _ := os.ReadFile("/proc/self/status")
		fmt.Println(string(status))
	}
	return 0
}

// unpackAs unpacks in another process, as another user or in a user
// namespace.
func unpackAs(t *testing.T, dir string, uid int, attr *syscall.SysProcAttr, blob []byte, ids layer.IDs) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	options, err := json.Marshal(helperForm{IDs: ids})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helper + "=" + string(options)}
	cmd.Stdin, cmd.ExtraFiles, cmd.SysProcAttr = bytes.NewReader(blob), []*os.File{f}, attr
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "fork/exec") {
		t.Skipf("needs user namespaces: %v", err)
	}
	if err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

var rootlessLayer = Tar(
	with(Dir("./", 0o700), func(e *Entry) { e.Uid, e.Gid = 5, 6 }),
	with(Dir("ro/", 0o555), func(e *Entry) { e.Uid, e.Gid = 1000, 1000 }),
	with(File("ro/none", "no permission"), func(e *Entry) { e.Mode = 0o4000; e.Uid = 7 }),
	Dir("ro/closed/", 0o10000), // mode 0: the builder of tars takes 0 for "the usual one"
	File("ro/closed/x", "x"), File("ro/closed/sub/y", "y"),
	File("ro/.wh.gone", ""), File("opaque/.wh..wh..opq", ""), File("opaque/z", "z"),
	Hardlink("ro/closed/z", "opaque/z"), Symlink("s", "ro/closed"), File("s/through", "t"),
	Entry{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
)

// plainFingerprint is fingerprint without owners and devices.
func plainFingerprint(t *testing.T, dir string) string {
	t.Helper()
	s := regexp.MustCompile(`(?m)^\./null .*\n`).ReplaceAllString(fingerprint(t, dir), "")
	return regexp.MustCompile(`(?m) \d+:\d+( \d+( \d+\.\d+)?)$`).ReplaceAllString(s, "$1")
}

func TestRootlessIsTheSameTree(t *testing.T) {
	byRoot, byUser := tempDir(t), tempDir(t)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	notes := unpackAs(t, byUser, 65534, attr, rootlessLayer, layer.SquashedIDs)
	equal(t, "notes", notes, "[{device-skipped 1 null}]")
	if _, err := unpackInto(t, byRoot, rootlessLayer, unpack.Source{}, unpack.Options{Form: layer.Form{Xattrs: layer.UserXattrs}}); err != nil {
		t.Fatal(err)
	}
	equal(t, "tree", plainFingerprint(t, byUser), plainFingerprint(t, byRoot))
	for line := range strings.SplitSeq(fingerprint(t, byUser), "\n") {
		if line != "" && !strings.Contains(line, " 65534:65534 ") {
			t.Errorf("%s does not belong to the caller", line)
		}
	}
	equal(t, "opaque mark", xattrsOf(t, byUser+"/opaque"), `user.overlay.opaque="y"`)
}

func TestInAUserNamespaceOwnersAreMapped(t *testing.T) {
	byRoot, mapped := tempDir(t), tempDir(t)
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
		Credential: &syscall.Credential{},
	}
	notes := unpackAs(t, mapped, 100000, attr, rootlessLayer, layer.MappedIDs)
	equal(t, "notes", notes, "[{device-skipped 1 null}]")
	if _, err := unpackInto(t, byRoot, rootlessLayer, unpack.Source{}, unpack.Options{Form: layer.Form{Xattrs: layer.UserXattrs}}); err != nil {
		t.Fatal(err)
	}
	equal(t, "tree", plainFingerprint(t, mapped), plainFingerprint(t, byRoot))
	for name, want := range map[string]uint32{".": 100005, "ro": 101000, "ro/none": 100007, "s": 100000} {
		if got := stat(t, mapped, name).Uid; got != want {
			t.Errorf("owner of %s = %d, want %d", name, got, want)
		}
	}
}

func TestAnOwnerOutsideTheNamespace(t *testing.T) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 1000}}
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
		Credential: &syscall.Credential{},
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	dir := tempDir(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helper + `={"IDs":"mapped"}`}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Chown(dir, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	blob := RawTar(RawEntry{Name: "a", Type: '0', UID: 5000})
	cmd.Stdin, cmd.ExtraFiles, cmd.SysProcAttr = bytes.NewReader(blob), []*os.File{f}, attr
	out, err := cmd.CombinedOutput()
	if err == nil || strings.Contains(err.Error(), "fork/exec") {
		t.Skipf("needs user namespaces: %v", err)
	}
	equal(t, "error", strings.TrimSpace(string(out)), `chown "a": owner 5000:0 is not mapped in this user namespace: invalid argument`)
}
