// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/erofs"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
)

func TestMain(m *testing.M) { os.Exit(disktest.Apart(m.Run)) }

// image is a filesystem to be made: its entries, and the data on two devices.
type image struct {
	devices [2][]byte
	entries []entry
}

type entry struct {
	path string
	erofs.Inode
	content []byte // of a regular file
	link    string // the first path of the same file
}

func (i *image) add(path string, n erofs.Inode) {
	i.entries = append(i.entries, entry{path: path, Inode: n})
}

// file adds a file with its content on a device, from a block on where aligned.
func (i *image) file(path string, device int, content []byte, n erofs.Inode) {
	n.Type, n.Size, n.Device = layer.Regular, int64(len(content)), device
	d := &i.devices[device]
	for len(*d)%erofs.BlockSize != 0 {
		*d = append(*d, 0xee)
	}
	if len(content) > 0 {
		n.Extents = []erofs.Extent{{Size: n.Size, At: int64(len(*d))}}
	}
	*d = append(*d, content...)
	i.entries = append(i.entries, entry{path: path, Inode: n, content: content})
}

func (i *image) build(t testing.TB) []byte {
	t.Helper()
	var devices []erofs.Device
	for _, d := range i.devices {
		devices = append(devices, erofs.Device{Size: int64(len(d)), ReadAt: bytes.NewReader(d).ReadAt})
	}
	var out memory
	n, err := erofs.Write(&out, devices, i.tree)
	if err != nil || n != int64(len(out)) || n%erofs.BlockSize != 0 {
		t.Fatalf("wrote %d of %d bytes: %v", len(out), n, err)
	}
	return out
}

// tree gives the entries sorted as they must be, names of one file with its
// inode and number.
func (i *image) tree(add func(erofs.Entry) error) error {
	list := slices.Clone(i.entries)
	slices.SortStableFunc(list, func(a, b entry) int {
		return strings.Compare(sortable(a.path), sortable(b.path))
	})
	numbers, files := map[string]uint64{}, map[string]entry{}
	for n, e := range i.entries {
		files[e.path] = e
		if e.link != "" {
			numbers[e.link] = uint64(n)
		}
	}
	for _, e := range list {
		file := e
		if e.link != "" {
			file = files[e.link]
		}
		if err := add(erofs.Entry{Path: e.path, Inode: file.Inode, File: numbers[file.path]}); err != nil {
			return err
		}
	}
	return nil
}

func sortable(path string) string {
	if path == "." {
		return ""
	}
	return strings.ReplaceAll(path, "/", "\x00")
}

// memory is a file in memory.
type memory []byte

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if more := at + int64(len(p)) - int64(len(*m)); more > 0 {
		*m = append(*m, make([]byte, more)...)
	}
	return copy((*m)[at:], p), nil
}

// disk is a directory on a filesystem from whose files the kernel mounts.
func disk(t *testing.T) string {
	t.Helper()
	return disktest.New(t, 128<<20, "mkfs.ext4", "-q").Dir
}

// mount writes the index and its devices below disk and mounts them.
func (i *image) mount(t testing.TB, disk string) string {
	t.Helper()
	dir, err := os.MkdirTemp(disk, "")
	if err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(dir, "index")
	if err := os.WriteFile(index, i.build(t), 0o600); err != nil {
		t.Fatal(err)
	}
	var devices []string
	for n, d := range i.devices {
		path := filepath.Join(dir, fmt.Sprint("device", n))
		if err := os.WriteFile(path, d, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, (int64(len(d))+511)/512*512); err != nil {
			t.Fatal(err)
		}
		devices = append(devices, path)
	}
	i.check(t, index, devices)
	return mountAt(t, index, devices)
}

// mountAt mounts an index with its devices, by their files, beside it.
func mountAt(t testing.TB, index string, devices []string) string {
	t.Helper()
	target := filepath.Join(filepath.Dir(index), "mnt")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	options := ""
	for _, d := range devices {
		options += ",device=" + d
	}
	err := unix.Mount(index, target, "erofs", unix.MS_RDONLY, strings.TrimPrefix(options, ","))
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOTBLK) {
		t.Skip("needs a kernel that mounts EROFS from files (Linux 6.12): ", err)
	}
	if err != nil {
		t.Fatal("mount: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	})
	return target
}

// check has the programs that are not ours look at an index, where there are
// some.
func (i *image) check(t testing.TB, index string, devices []string) {
	t.Helper()
	others := layertest.NewEROFS(t)
	if err := others.Check(index, devices); err != nil {
		t.Error(err)
	}
	files, ok, err := others.Read(index, devices)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return
	}
	if len(files) != len(i.entries) {
		t.Errorf("others read %d paths, want %d", len(files), len(i.entries))
	}
	byPath := map[string]*entry{}
	for n := range i.entries {
		byPath[i.entries[n].path] = &i.entries[n]
	}
	inodes := map[string]uint64{}
	for _, f := range files {
		e := byPath[string(f.Path)]
		first := string(f.Path)
		if e != nil && e.link != "" {
			first, e = e.link, byPath[e.link]
		}
		if e == nil {
			t.Errorf("others read %q, which is not there", f.Path)
			continue
		}
		if got, want := told(f), e.tell(); got != want {
			t.Errorf("others read of %.80q\n%.300s\nwant\n%.300s", f.Path, got, want)
		}
		if ino, ok := inodes[first]; ok && ino != f.Ino {
			t.Errorf("others read %q and %q as two files", first, f.Path)
		}
		inodes[first] = f.Ino
	}
}

// told is what others read of a path, as tell says it.
func told(f layertest.EROFSFile) string {
	xattrs := map[string]string{}
	for _, x := range f.Xattrs {
		xattrs[string(x[0])] = string(x[1])
	}
	size := f.Size
	if f.Mode&unix.S_IFMT != unix.S_IFREG {
		size = 0
	}
	return fmt.Sprintf("%o %d:%d %d %d %d:%d %q %x %q", f.Mode, f.UID, f.GID, time.Unix(f.Sec, f.Nsec).UnixNano(), size, f.Major, f.Minor, f.Link, f.Sum, xattrs)
}

// tell says all that there is of an entry, but for names of its file.
func (e *entry) tell() string {
	xattrs := map[string]string{}
	maps.Copy(xattrs, e.Xattrs)
	var sum []byte
	if e.Type == layer.Regular && (e.content != nil || e.Size == 0) {
		s := sha256.Sum256(e.content)
		sum = s[:]
	}
	return fmt.Sprintf("%o %d:%d %d %d %d:%d %q %x %q", types()[e.Type]|e.Mode, e.UID, e.GID, e.ModTime.UnixNano(), e.Size, e.Major, e.Minor, e.Linkname, sum, xattrs)
}

func types() map[layer.Type]uint32 {
	return map[layer.Type]uint32{layer.Regular: unix.S_IFREG, layer.Directory: unix.S_IFDIR, layer.Symlink: unix.S_IFLNK, layer.CharDevice: unix.S_IFCHR, layer.BlockDevice: unix.S_IFBLK, layer.FIFO: unix.S_IFIFO}
}

// everything has one of each kind, and what lies at the edges of the format.
func everything() *image {
	i := &image{}
	at := time.Unix(1_700_000_000, 123_456_789)
	i.add(".", erofs.Inode{Type: layer.Directory, Mode: 0o1755, UID: 3, ModTime: at})
	label := map[string]string{"security.selinux": "system_u:object_r:usr_t:s0\x00"}
	i.add("a", erofs.Inode{Type: layer.Directory, Mode: 0o755, ModTime: at, Xattrs: label})
	i.file("a/empty", 0, nil, erofs.Inode{Mode: 0o600, ModTime: at})
	i.file("a/hello", 1, []byte("hello\n"), erofs.Inode{Mode: 0o4755, UID: 70000, GID: 4294967294, ModTime: at, Xattrs: label})
	i.entries = append(i.entries, entry{path: "a/hello-again", link: "a/hello"})
	i.file("a/large", 0, bytes.Repeat([]byte("0123456789"), 300_001), erofs.Inode{Mode: 0o644, ModTime: time.Unix(-5, 7)})
	i.add("char", erofs.Inode{Type: layer.CharDevice, Mode: 0o666, Major: 5, Minor: 0x12345, ModTime: at})
	i.add("block", erofs.Inode{Type: layer.BlockDevice, Mode: 0o660, Major: 0xfff, Minor: 0xfffff, ModTime: at})
	i.add("fifo", erofs.Inode{Type: layer.FIFO, Mode: 0o622, ModTime: at})
	i.add("link", erofs.Inode{Type: layer.Symlink, Mode: 0o777, Linkname: "../a/hello", ModTime: at})
	i.add("link-long", erofs.Inode{Type: layer.Symlink, Mode: 0o777, Linkname: strings.Repeat("x/", 1500), ModTime: at})
	i.add("link-with-attributes", erofs.Inode{Type: layer.Symlink, Mode: 0o777, Linkname: strings.Repeat("y", 300), ModTime: at, Xattrs: map[string]string{"trusted.t": strings.Repeat("z", 200), "security.selinux": label["security.selinux"]}})
	i.add("many", erofs.Inode{Type: layer.Directory, Mode: 0o700, ModTime: at})
	var names []string
	for n := range 3000 {
		names = append(names, fmt.Sprintf("%c%0*d", "!-.~"[n%4], 1+n%250, n))
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		i.file("many/"+name, 0, []byte(name), erofs.Inode{Mode: 0o644, ModTime: at})
	}
	i.sparse("sparse", 1<<20+3, []erofs.Extent{{Offset: 0, Size: 512}, {Offset: 4096, Size: 4096}, {Offset: 1000_000, Size: 7}, {Offset: 1 << 20, Size: 3}})
	i.sparse("sparse-hole", 9<<30, nil)
	i.file("xattrs", 1, []byte("x"), erofs.Inode{Mode: 0o644, ModTime: at, Xattrs: map[string]string{
		"user.empty": "", "user.big": strings.Repeat("v", 5000), "trusted.b\x01\xff": "\x00\x01", "security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	}})
	return i
}

// What is large in numbers, and costs no room: a directory of 100,000 names (3,000
// in short), a file of 5 GiB whose last bytes count, and one that lies 6 GiB from
// the beginning of its device.
func TestLargeNumbers(t *testing.T) {
	layertest.NeedsMount(t)
	const far, size = 6 << 30, 5 << 30
	names := 3000
	if os.Getenv("LAYERCTL_FULL") == "1" {
		names = 100_000
	}
	dir := disk(t)
	device, index := filepath.Join(dir, "device"), filepath.Join(dir, "index")
	f, err := os.Create(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	end := int64(far + 1024)
	_, one := f.WriteAt([]byte("the end"), size-7)
	_, two := f.WriteAt([]byte("far away"), far)
	if err := errors.Join(one, two, f.Truncate(end)); err != nil {
		t.Fatal(err)
	}
	to, err := os.Create(index)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	_, err = erofs.Write(to, []erofs.Device{{Size: end, ReadAt: f.ReadAt}}, func(add func(erofs.Entry) error) error {
		plain := erofs.Inode{Type: layer.Regular, Mode: 0o644, ModTime: time.Unix(1, 1)}
		directory := erofs.Inode{Type: layer.Directory, Mode: 0o755, ModTime: time.Unix(1, 1)}
		large, distant := plain, plain
		large.Size, large.Extents = size, []erofs.Extent{{Size: size}}
		distant.Size, distant.Extents = 8, []erofs.Extent{{Size: 8, At: far}}
		err := errors.Join(add(erofs.Entry{Path: ".", Inode: directory}), add(erofs.Entry{Path: "d", Inode: directory}))
		for n := range names {
			err = errors.Join(err, add(erofs.Entry{Path: fmt.Sprintf("d/%06d", n), Inode: plain}))
		}
		return errors.Join(err, add(erofs.Entry{Path: "distant", Inode: distant}), add(erofs.Entry{Path: "large", Inode: large}))
	})
	if err != nil {
		t.Fatal(err)
	}
	others := layertest.NewEROFS(t)
	if err := others.Check(index, []string{device}); err != nil {
		t.Error(err)
	}
	target := mountAt(t, index, []string{device})
	if list, err := os.ReadDir(filepath.Join(target, "d")); err != nil || len(list) != names || list[names-1].Name() != fmt.Sprintf("%06d", names-1) {
		t.Errorf("the directory has %d names, %v; want %d", len(list), err, names)
	}
	if _, err := os.Lstat(filepath.Join(target, "d", fmt.Sprintf("%06d", names/2))); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"distant": "far away", "large": "the end"} {
		got, at := make([]byte, len(want)), int64(0)
		if name == "large" {
			at = size - 7
		}
		f, err := os.Open(filepath.Join(target, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.ReadAt(got, at); err != nil || string(got) != want {
			t.Errorf("%s: read %q, %v; want %q", name, got, err, want)
		}
	}
}

// sparse adds a file of extents, whose data stands together on a device as in a
// tar.
func (i *image) sparse(path string, size int64, extents []erofs.Extent) {
	d := &i.devices[0]
	for len(*d)%erofs.BlockSize != 0 {
		*d = append(*d, 0xee)
	}
	var content []byte
	if size < 1<<30 {
		content = make([]byte, size)
	}
	for n := range extents {
		e := &extents[n]
		e.At = int64(len(*d))
		part := bytes.Repeat([]byte{byte('A' + n)}, int(e.Size))
		*d = append(*d, part...)
		copy(content[e.Offset:], part)
	}
	i.entries = append(i.entries, entry{path: path, Inode: erofs.Inode{Type: layer.Regular, Mode: 0o644, Size: size, Extents: extents, ModTime: time.Unix(1, 0)}, content: content})
}

func TestMountedIndexIsWhatWasAdded(t *testing.T) {
	layertest.NeedsMount(t)
	compare(t, disk(t), everything())
}

// A tree of any shape is what was added.
func TestRandomTrees(t *testing.T) {
	layertest.NeedsMount(t)
	disk := disk(t)
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compare(t, disk, random(rand.New(rand.NewPCG(seed, 1)))) })
	}
}

func random(r *rand.Rand) *image {
	i := &image{}
	i.add(".", erofs.Inode{Type: layer.Directory, Mode: 0o755, ModTime: time.Unix(0, 0)})
	i.below(r, "", 2)
	return i
}

func (i *image) below(r *rand.Rand, dir string, depth int) {
	seen := map[string]bool{}
	for range r.IntN(25) {
		name := strings.Repeat(string(rune("!-.ab~"[r.IntN(6)])), 1+r.IntN(3)*r.IntN(60)) + fmt.Sprint(r.IntN(99))
		if seen[name] {
			continue
		}
		seen[name] = true
		n := erofs.Inode{Mode: r.Uint32() & 0o7777, UID: r.Uint32N(1 << 31), GID: r.Uint32N(9), ModTime: time.Unix(r.Int64N(1<<33), r.Int64N(1e9))}
		for range r.IntN(4) * r.IntN(2) {
			if n.Xattrs == nil {
				n.Xattrs = map[string]string{}
			}
			n.Xattrs[fmt.Sprint("trusted.", r.IntN(4))] = strings.Repeat("v", r.IntN(3)*r.IntN(200))
		}
		switch path := dir + name; r.IntN(4) {
		case 0:
			n.Type, n.Linkname = layer.Symlink, strings.Repeat("t", 1+r.IntN(600))
			i.add(path, n)
		case 1:
			n.Type = layer.Directory
			i.add(path, n)
			if depth > 0 {
				i.below(r, path+"/", depth-1)
			}
		default:
			i.file(path, r.IntN(2), bytes.Repeat([]byte(name), r.IntN(200)), n)
		}
	}
}

// mountAlone writes the image with its data into one file below disk and mounts
// that.
func (i *image) mountAlone(t testing.TB, disk string) string {
	t.Helper()
	dir, err := os.MkdirTemp(disk, "")
	if err != nil {
		t.Fatal(err)
	}
	// The data of both devices, behind room for the superblock.
	file := make(memory, 4096)
	var begin [2]int64
	for n, d := range i.devices {
		begin[n] = int64(len(file))
		file = append(file, d...)
		file = append(file, make([]byte, (512-len(file)%512)%512)...)
	}
	data := slices.Clone(file)
	one := &image{entries: slices.Clone(i.entries)}
	for n := range one.entries {
		e := &one.entries[n]
		e.Extents = slices.Clone(e.Extents)
		for x := range e.Extents {
			e.Extents[x].At += begin[e.Device]
		}
		e.Device = 0
	}
	sb, err := erofs.WriteBehind(&file, erofs.Device{Size: int64(len(data)), ReadAt: bytes.NewReader(data).ReadAt}, one.tree)
	if err != nil || sb.Size() != int64(len(file)) || !bytes.Equal(file[:len(data)], data) {
		t.Fatalf("%d bytes in a file of %d, or its data changed: %v", sb.Size(), len(file), err)
	}
	copy(file[erofs.SuperAt:], sb[:])
	path := filepath.Join(dir, "alone")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	one.check(t, path, nil)
	return mountAt(t, path, nil)
}

// compare mounts the image from a disk, with its data beside it and in the same
// file, and looks at every attribute and byte.
func compare(t *testing.T, disk string, i *image) {
	t.Helper()
	for _, root := range []string{i.mount(t, disk), i.mountAlone(t, disk)} {
		i.compareAt(t, root)
	}
}

func (i *image) compareAt(t *testing.T, root string) {
	t.Helper()
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		seen[rel] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(i.entries) {
		t.Errorf("%d paths, want %d", len(seen), len(i.entries))
	}
	byPath := map[string]*entry{}
	for n := range i.entries {
		e := &i.entries[n]
		byPath[e.path] = e
		if e.link != "" {
			e = byPath[e.link]
		}
		if err := e.compare(filepath.Join(root, i.entries[n].path)); err != nil {
			t.Errorf("%.80q: %v", i.entries[n].path, err)
		}
	}
}

func (e *entry) compare(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	if got, want := fmt.Sprintf("%o %d:%d %d", st.Mode, st.Uid, st.Gid, time.Unix(st.Mtim.Unix()).UnixNano()), fmt.Sprintf("%o %d:%d %d", types()[e.Type]|e.Mode, e.UID, e.GID, e.ModTime.UnixNano()); got != want {
		return fmt.Errorf("is %s, want %s", got, want)
	}
	if (e.Type == layer.CharDevice || e.Type == layer.BlockDevice) && (unix.Major(st.Rdev) != e.Major || unix.Minor(st.Rdev) != e.Minor) {
		return fmt.Errorf("device %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	if e.Type == layer.Symlink {
		if got, err := os.Readlink(path); err != nil || got != e.Linkname {
			return fmt.Errorf("leads to %.80q, %v", got, err)
		}
	}
	if e.Type == layer.Regular {
		if st.Size != e.Size {
			return fmt.Errorf("%d bytes, want %d", st.Size, e.Size)
		}
		if e.content != nil {
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, e.content) {
				return fmt.Errorf("another content, %v", err)
			}
		}
	}
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return err
	}
	if got := bytes.Count(names[:n], []byte{0}); got != len(e.Xattrs) {
		return fmt.Errorf("%d attributes (%q), want %d", got, names[:n], len(e.Xattrs))
	}
	for name, want := range e.Xattrs {
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil || string(value[:n]) != want {
			return fmt.Errorf("%q is %.40q, %v", name, value[:max(n, 0)], err)
		}
	}
	return nil
}

func TestEqualCallsMakeEqualBytes(t *testing.T) {
	if !bytes.Equal(everything().build(t), everything().build(t)) {
		t.Error("two indexes of one tree differ")
	}
}

func TestWhatTheFormatHasNoRoomFor(t *testing.T) {
	dir := erofs.Inode{Type: layer.Directory}
	for _, c := range []struct {
		name, path string
		erofs.Inode
	}{
		{"a whiteout", "a", erofs.Inode{Type: layer.Whiteout}},
		{"a long name", strings.Repeat("n", 256), dir},
		{"a path out of order", "x/y", dir},
		{"dots", "..", dir},
		{"a long target", "a", erofs.Inode{Type: layer.Symlink, Linkname: strings.Repeat("t", 4096)}},
		{"a device number", "a", erofs.Inode{Type: layer.BlockDevice, Major: 1 << 12}},
		{"another namespace", "a", erofs.Inode{Type: layer.FIFO, Xattrs: map[string]string{"system.other": ""}}},
		{"content behind its device", "a", erofs.Inode{Type: layer.Regular, Size: 9, Extents: []erofs.Extent{{Size: 9, At: 1 << 20}}}},
		{"content behind its file", "a", erofs.Inode{Type: layer.Regular, Size: 9, Extents: []erofs.Extent{{Size: 10}}}},
	} {
		_, err := erofs.Write(new(memory), []erofs.Device{{Size: 1 << 20}}, func(add func(erofs.Entry) error) error {
			if err := add(erofs.Entry{Path: ".", Inode: dir}); err != nil {
				return err
			}
			return add(erofs.Entry{Path: c.path, Inode: c.Inode})
		})
		if !errors.Is(err, erofs.ErrUnsupported) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	none := func(func(erofs.Entry) error) error { return nil }
	if _, err := erofs.Write(new(memory), nil, none); !errors.Is(err, erofs.ErrUnsupported) {
		t.Errorf("no root: %v", err)
	}
	twice := func(add func(erofs.Entry) error) error {
		return errors.Join(add(erofs.Entry{Path: ".", Inode: dir}), add(erofs.Entry{Path: "b", Inode: dir}), add(erofs.Entry{Path: "a", Inode: dir}))
	}
	if _, err := erofs.Write(new(memory), nil, twice); !errors.Is(err, erofs.ErrUnsupported) {
		t.Errorf("names that are not sorted: %v", err)
	}
}
