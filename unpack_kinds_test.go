// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// everyKind writes an image that has everything that a tree can have, in
// layers that change what is below them, and returns its reference.
func everyKind(t *testing.T, dir string) string {
	t.Helper()
	entry := func(typeflag byte, name string, mode int64, change func(*tar.Header)) imagetest.Entry {
		e := imagetest.Entry{Header: tar.Header{Typeflag: typeflag, Name: name, Mode: mode, Uid: 70000, Gid: 12, ModTime: time.Unix(1_500_000_000, 123456789), Format: tar.FormatPAX}}
		if change != nil {
			change(&e.Header)
		}
		return e
	}
	device := func(major, minor int64) func(*tar.Header) {
		return func(h *tar.Header) { h.Devmajor, h.Devminor = major, minor }
	}
	xattrs := func(pairs ...string) func(*tar.Header) {
		return func(h *tar.Header) {
			h.PAXRecords = map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				h.PAXRecords["SCHILY.xattr."+pairs[i]] = pairs[i+1]
			}
		}
	}
	lower := []imagetest.Entry{
		entry(tar.TypeDir, "./", 0o751, nil),
		entry(tar.TypeDir, "tmp/", 0o1777, nil),
		entry(tar.TypeDir, "locked/", 0o500, nil),
		entry(tar.TypeReg, "locked/in", 0o000, nil),
		entry(tar.TypeDir, "group/", 0o2750, xattrs("user.note", "a directory's", defaultACL, acl())),
		entry(tar.TypeReg, "group/acl", 0o664, xattrs(accessACL, acl())),
		entry(tar.TypeReg, "group/plain", 0o600, nil),
		entry(tar.TypeReg, "bin/suid", 0o4711, nil),
		entry(tar.TypeReg, "bin/able", 0o755, xattrs("security.capability", capabilities(), "user.other", "\x00\xff")),
		entry(tar.TypeSymlink, "bin/sh", 0o777, func(h *tar.Header) { h.Linkname = "/bin/suid" }),
		imagetest.Hardlink("bin/sh2", "bin/sh"),
		imagetest.Hardlink("bin/suid2", "bin/suid"),
		entry(tar.TypeChar, "dev/null", 0o666, device(1, 3)),
		imagetest.Hardlink("dev/null2", "dev/null"),
		entry(tar.TypeBlock, "dev/disk", 0o660, device(8, 1)),
		entry(tar.TypeFifo, "dev/pipe", 0o622, nil),
		entry(tar.TypeReg, "name \xff\n*", 0o644, nil),
		imagetest.File("gone/a", "a"), imagetest.File("gone/b", "b"),
		imagetest.File("kept/a", "a"), imagetest.File("becomes/dir/file", "x"), imagetest.File("becomes/file", "y"),
		imagetest.File("large", imagetest.Noise(3<<20)),
	}
	upper := []imagetest.Entry{
		imagetest.File("gone/.wh.a", ""),
		imagetest.File("kept/.wh..wh..opq", ""), imagetest.File("kept/new", "new"),
		imagetest.File("becomes/dir", "a file now"), imagetest.Dir("becomes/file/", 0o711), imagetest.File("becomes/file/in", "a directory now"),
		imagetest.Hardlink("tmp/linked", "bin/suid2"),
		imagetest.File("tmp/implied/deep", "deep"),
		imagetest.File("no/such/.wh.thing", ""),
	}
	l := imagetest.NewLayout(dir)
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(lower...), imagetest.Tar(upper...)), "latest")
	return "oci:" + dir + ":latest"
}

const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// acl is user::rwx, user:1000:r--, group::r-x, mask::rwx, other::r--, as the
// kernel gives it back (linux/posix_acl_xattr.h).
func acl() string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 6, 1<<32 - 1}, {2, 4, 1000}, {4, 6, 1<<32 - 1}, {16, 6, 1<<32 - 1}, {32, 4, 1<<32 - 1}} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return string(b)
}

// capabilities is cap_net_raw=ep (struct vfs_cap_data of linux/capability.h,
// revision 2).
func capabilities() string {
	b := binary.LittleEndian.AppendUint32(nil, 2<<24|1)
	b = binary.LittleEndian.AppendUint32(b, 1<<13)
	return string(append(b, make([]byte, 12)...))
}

// details lists all that can be told of a tree, a line a path, and the groups
// of names that share a file.
func details(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	names := map[uint64][]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		name, content := "."+p[len(dir):], ""
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("%d %x", len(b), sha256.Sum256(b))
		case unix.S_IFLNK:
			if content, err = os.Readlink(p); err != nil {
				return err
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			content = fmt.Sprint(unix.Major(st.Rdev), ":", unix.Minor(st.Rdev))
		}
		if !d.IsDir() {
			names[st.Ino] = append(names[st.Ino], name)
		}
		xattrs, err := readXattrs(p)
		if err != nil {
			return err
		}
		var pairs []string
		for _, k := range slices.Sorted(maps.Keys(xattrs)) {
			pairs = append(pairs, fmt.Sprintf("%s=%x", k, xattrs[k]))
		}
		lines = append(lines, fmt.Sprintf("%q %o %d:%d %d.%09d %q %s", name, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, content, pairs))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(lines, groupLines(slices.Collect(maps.Values(names)))...)
}

func unpackTo(t *testing.T, ref, dir string, o UnpackOptions) Unpacked {
	t.Helper()
	client := New(Options{Platform: "linux/amd64", Limits: unpack.Limits{Reserve: -1}})
	unpacked, err := client.Unpack(t.Context(), ref, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".layerctl-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("there is left %q, %v", left, err)
	}
	return unpacked
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := compare(got, want); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

func TestUnpackEqualsTheMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts overlays")
	}
	disk := disktest.New(t, 64<<20, "mkfs.ext4", "-q")
	ref := everyKind(t, filepath.Join(t.TempDir(), "image"))
	store, err := overlaystore.Open(t.Context(), filepath.Join(disk.Dir, "store"), overlaystore.Options{NoSync: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pulled, err := New(Options{Platform: "linux/amd64", Limits: unpack.Limits{Reserve: -1}}).Pull(t.Context(), store, ref)
	if err != nil {
		t.Fatal(err)
	}
	mount, err := overlaymount.Assemble(t.Context(), store, pulled.Image, overlaymount.Options{})
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	if err := mount.Mount(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	want := details(t, target)
	if err := overlaymount.Unmount(t.Context(), store, target, overlaymount.UnmountOptions{}); err != nil {
		t.Error(err)
	}
	top := filepath.Join(disk.Dir, "trees")
	for _, dir := range []string{top, filepath.Join(top, "existing")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	unpacked := unpackTo(t, ref, filepath.Join(top, "fetched"), UnpackOptions{})
	same(t, "fetched", details(t, filepath.Join(top, "fetched")), want)
	if len(unpacked.Notes) > 0 || unpacked.Fetched != 2 || unpacked.Nodes != 3 || unpacked.Links != 4 {
		t.Errorf("it tells %+v", unpacked)
	}
	unpackTo(t, ref, filepath.Join(top, "existing"), UnpackOptions{})
	same(t, "in a directory that was there", details(t, filepath.Join(top, "existing")), want)
	unpacked = unpackTo(t, ref, filepath.Join(top, "stored"), UnpackOptions{Store: store})
	same(t, "from the store", details(t, filepath.Join(top, "stored")), want)
	if len(unpacked.Notes) > 0 || unpacked.Stored != 2 || unpacked.Fetched != 0 {
		t.Errorf("it tells %+v", unpacked)
	}
	unpackTo(t, ref, filepath.Join(top, "stored"), UnpackOptions{Force: true})
	same(t, "over itself", details(t, filepath.Join(top, "stored")), want)
	report, err := store.Verify(t.Context(), overlaystore.VerifyOptions{})
	if err != nil || len(report.Differences) > 0 {
		t.Errorf("the store is not as it was: %v, %v", report, err)
	}
}

// userPlaces names, in the process of an ordinary user, the directories in
// which he unpacks, and userImage the image.
const (
	userPlaces = "LAYERCTL_USER_PLACES"
	userImage  = "LAYERCTL_USER_IMAGE"
)

// TestUnpackAsOrdinaryUser unpacks as a user without any capability, with
// umask 077, on overlayfs, tmpfs and ext4, and compares with what root gets.
func TestUnpackAsOrdinaryUser(t *testing.T) {
	if places := os.Getenv(userPlaces); places != "" {
		unpackAsUser(t, strings.Split(places, ":"))
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: to mount filesystems and become another user")
	}
	const user = 65534
	top := publicDir(t)
	ref := everyKind(t, filepath.Join(top, "image"))
	root := filepath.Join(top, "root")
	unpackTo(t, ref, root, UnpackOptions{})
	want := asUser(t, details(t, root), user)
	places := userMounts(t, top, user)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestUnpackAsOrdinaryUser$", "-test.v")
	cmd.Env = append(os.Environ(), userPlaces+"="+strings.Join(places, ":"), userImage+"="+ref)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("as uid %d: %v\n%s", user, err, out)
	}
	for _, place := range places {
		same(t, place+", fetched", details(t, filepath.Join(place, "fetched")), want)
		same(t, place+", from a store", details(t, filepath.Join(place, "stored")), want)
	}
}

// unpackAsUser is what the user's process does.
func unpackAsUser(t *testing.T, places []string) {
	caps, err := os.ReadFile("/proc/self/status")
	if err != nil || !strings.Contains(string(caps), "CapEff:\t0000000000000000") {
		t.Fatalf("this process has capabilities: %s, %v", caps, err)
	}
	unix.Umask(0o077)
	client := New(Options{Platform: "linux/amd64", Limits: unpack.Limits{Reserve: -1}})
	ref := os.Getenv(userImage)
	for _, place := range places {
		unpacked := unpackTo(t, ref, filepath.Join(place, "fetched"), UnpackOptions{})
		if got := fmt.Sprint(unpacked.Notes); got != "map[capability-skipped:1 device-skipped:3 setid-cleared:2]" {
			t.Errorf("%s: it tells %s", place, got)
		}
		store, err := overlaystore.Open(t.Context(), filepath.Join(place, "store"), overlaystore.Options{NoSync: true, Reserve: -1})
		if err != nil {
			t.Logf("no store on %s: %v", place, err)
			unpackTo(t, ref, filepath.Join(place, "stored"), UnpackOptions{})
			continue
		}
		if _, err := client.Pull(t.Context(), store, ref); err != nil {
			t.Fatal(err)
		}
		unpackTo(t, ref, filepath.Join(place, "stored"), UnpackOptions{Store: store})
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// userMode is a mode without set-id bits and what umask 077 takes; it leaves
// links and ACLs.
func userMode(t *testing.T, mode, line string) string {
	t.Helper()
	n, err := strconv.ParseUint(mode, 8, 32)
	if err != nil {
		t.Fatal(err)
	}
	if n&unix.S_IFMT == unix.S_IFLNK {
		return mode
	}
	if n &^= 0o6000; !strings.Contains(line, accessACL) {
		n &^= 0o077
	}
	return strconv.FormatUint(n, 8)
}

// asUser is what a listing of root's becomes for a user: his owner, his umask,
// no devices, no capabilities and no set-id bits.
func asUser(t *testing.T, lines []string, user int) []string {
	var all []string
	for _, line := range lines {
		if strings.Contains(line, "dev/null") || strings.Contains(line, "dev/disk") {
			continue
		}
		if head, rest, ok := strings.Cut(line, "\" "); ok && strings.HasPrefix(line, `"`) {
			fields := strings.SplitN(rest, " ", 3)
			line = fmt.Sprintf("%s\" %s %d:%d %s", head, userMode(t, fields[0], line), user, user, fields[2])
		}
		if i := strings.Index(line, "security.capability="); i >= 0 {
			_, after, _ := strings.Cut(line[i:], " ")
			line = line[:i] + after
		}
		all = append(all, line)
	}
	return all
}

// publicDir is a temporary directory that every user can look into.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "layerctl-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// userMounts mounts an ext4, a tmpfs and an overlay, and makes in each a
// directory that is the user's.
func userMounts(t *testing.T, top string, user int) []string {
	t.Helper()
	disk := disktest.New(t, 64<<20, "mkfs.ext4", "-q")
	mount := func(name, kind, options string) string {
		t.Helper()
		dir := filepath.Join(top, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
			t.Fatalf("mount %s: %v", kind, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	ext4, memory := mount2(t, disk.Dir, filepath.Join(top, "ext4")), mount("tmpfs", "tmpfs", "mode=755")
	for _, name := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(ext4, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	overlay := mount("overlay", "overlay", fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", ext4))
	var places []string
	for _, fs := range []string{overlay, memory, ext4} {
		dir := filepath.Join(fs, "user")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, user, user); err != nil {
			t.Fatal(err)
		}
		places = append(places, dir)
	}
	return places
}

// mount2 shows a directory at another place too, which all users can reach.
func mount2(t *testing.T, dir, at string) string {
	t.Helper()
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(dir, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	return at
}
