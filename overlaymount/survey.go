// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/erofsfuse"
	"github.com/layerctl/layerctl/internal/erofstrial"
	"github.com/layerctl/layerctl/internal/fsverity"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// Check is one thing that a host can or cannot do.
type Check struct {
	Name  string
	OK    bool
	Value string // what was found, in words
	Hint  string // what helps if OK is false
}

// checked returns what was tried, with the hint that helps if it failed.
func checked(name, value string, err error, hint string) Check {
	if err != nil {
		value = err.Error()
	}
	return Check{Name: name, OK: err == nil, Value: value, Hint: hint}
}

// Survey finds out, by trying, what the kernel and the filesystem of a store at dir can
// do. It makes no store: if dir does not exist, it tries in the nearest directory above
// that does. It removes the files that it makes.
func Survey(ctx context.Context, dir string) []Check {
	list := surveyKernel()
	near, store := nearest(dir)
	list = append(list, surveyFilesystem(ctx, near, store)...)
	list = append(list, surveyTars(ctx, near)...)
	return append(list, surveyIDMap(near))
}

// feature is an option of overlayfs, the Linux that has it, and its use.
type feature struct{ option, since, use string }

func features() []feature {
	return []feature{
		{"userxattr", "5.11", "mounts in a user namespace"},
		{"volatile", "5.10", "writable mounts that a crash may lose"},
		{"metacopy=on", "4.19", "-o metacopy=on"},
		{"redirect_dir=on", "4.10", "-o redirect_dir=on"},
		{"index=on", "4.13", "-o index=on"},
		{"nfs_export=on", "4.16", "-o nfs_export=on"},
		{"xino=on", "4.17", "-o xino=on"},
		{"uuid=on", "6.6", "-o uuid=on"},
		{"lowerdir+=/", "6.8", "fstab lines of many layers"},
	}
}

// surveyKernel tries fsopen(2) and each option.
func surveyKernel() []Check {
	var uts unix.Utsname
	_ = unix.Uname(&uts) // it cannot fail with a good pointer
	list := []Check{{Name: "kernel", OK: true, Value: unix.ByteSliceToString(uts.Release[:])}}
	overlay := Check{Name: "overlayfs", OK: true, Value: "in the kernel"}
	types, err := os.ReadFile("/proc/filesystems")
	if err == nil && !bytes.Contains(types, []byte("\toverlay\n")) {
		overlay = Check{Name: "overlayfs", Value: "not loaded", Hint: "modprobe overlay"}
	}
	list = append(list, overlay)
	c, err := mounts.OpenContext("overlay")
	if err != nil {
		hint := "use Linux 5.2 or newer; mount(2) still works"
		if errors.Is(err, unix.EPERM) {
			hint = "run as root, or in a user namespace"
		}
		return append(list, Check{Name: "mount API", Value: err.Error(), Hint: hint})
	}
	defer c.Close()
	list = append(list, Check{Name: "mount API", OK: true, Value: "fsopen, fsconfig, fsmount"})
	return append(list, surveyOptions(c)...)
}

// surveyOptions tries the options of overlayfs.
func surveyOptions(c *mounts.Context) []Check {
	var list []Check
	if c.TakesAnything() {
		return append(list, Check{Name: "overlay options", Value: "not known before a mount", Hint: "use Linux 6.5 or newer"})
	}
	for _, f := range features() {
		list = append(list, checked("overlay "+strings.TrimSuffix(f.option, "=/"), "for "+f.use, probeOption(f.option), "for "+f.use+": use Linux "+f.since+" or newer"))
	}
	root, err := os.Open("/")
	if err != nil {
		return list
	}
	defer root.Close()
	return append(list, checked("overlay layers by descriptor", "for store paths of any length", c.SetDir("lowerdir+", root), "short names are used instead; Linux 6.13 has it"))
}

// nearest returns dir, or the nearest directory above it that exists, and whether dir
// exists.
func nearest(dir string) (string, bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "/", false
	}
	for at := dir; ; at = filepath.Dir(at) {
		if fi, err := os.Stat(at); err == nil && fi.IsDir() || at == "/" {
			return at, at == dir
		}
	}
}

// filesystemName returns the name of a filesystem that a store is likely to be on; for
// others it returns their number.
func filesystemName(kind int64) string {
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
		unix.F2FS_SUPER_MAGIC: "f2fs", overlayMagic: "overlayfs", fuseMagic: "FUSE", nfsMagic: "NFS", fatMagic: "FAT", 0x2fc12fc1: "zfs",
	}
	if name, ok := names[kind]; ok {
		return name
	}
	return fmt.Sprintf("type %#x", kind)
}

func surveyFilesystem(ctx context.Context, near string, store bool) []Check {
	var st unix.Statfs_t
	if err := unix.Statfs(near, &st); err != nil {
		return []Check{{Name: "store filesystem", Value: err.Error()}}
	}
	value := fmt.Sprintf("%s at %q, %d MiB free", filesystemName(int64(uint32(st.Type))), near, st.Bavail*uint64(st.Bsize)>>20)
	list := []Check{{Name: "store filesystem", OK: st.Flags&unix.ST_RDONLY == 0, Value: value, Hint: "it is mounted read-only: the store has to be elsewhere"}}
	// btrfs counts no inodes.
	if st.Files > 0 {
		list = append(list, Check{Name: "store inodes", OK: st.Ffree > 100_000, Value: fmt.Sprint(st.Ffree, " free"), Hint: "an image has tens of thousands of files; make room"})
	}
	form, err := surveyForm(ctx, near, store)
	if err != nil {
		hint := "the store has to be elsewhere: on ext4, xfs or btrfs that you may write to"
		return append(list, Check{Name: "store form", Value: err.Error(), Hint: hint})
	}
	return append(list,
		Check{Name: "whiteouts", OK: true, Value: map[layer.Whiteouts]string{layer.CharDevices: "devices 0:0", layer.XattrMarks: "attributes (Linux 6.8)"}[form.Whiteouts]},
		Check{Name: "overlay attributes", OK: true, Value: string(form.Xattrs) + ".overlay.*"},
		Check{Name: "owners of files", OK: form.IDs != layer.SquashedIDs || form.Lower == layer.Tars, Value: string(form.IDs), Hint: "every file belongs to you; as root, or in a user namespace with subordinate ids, the image's owners are kept"})
}

// surveyForm returns the form of the store that exists, or that would be made.
func surveyForm(ctx context.Context, near string, store bool) (layer.Form, error) {
	if store {
		format, err := overlaystore.FormatOf(near)
		if !errors.Is(err, fs.ErrNotExist) {
			return format.Form, err
		}
	}
	dir, err := durable.OpenDir(near)
	if err != nil {
		return layer.Form{}, err
	}
	defer dir.Close()
	return probe.Form(ctx, dir, layer.Form{})
}

// surveyIDMap tries an id-mapped mount of the store's filesystem.
func surveyIDMap(near string) Check {
	check := Check{Name: "id-mapped layers", OK: true, Value: "for mounts with an id map"}
	dir, err := durable.OpenDir(near)
	if err == nil {
		defer dir.Close()
		var mapped *os.File
		if mapped, err = mappedDir(dir, []IDMapping{{0, 100000, 65536}}); err == nil {
			mapped.Close()
		}
	}
	if err != nil {
		check = Check{Name: check.Name, Value: "no", Hint: err.Error()}
	}
	return check
}

// surveyTars tries to mount a small EROFS filesystem with its data on other devices, as
// layers that are tars are mounted: by the kernel, or by erofsfuse where the kernel
// mounts none for the caller.
func surveyTars(ctx context.Context, near string) []Check {
	tars := func(value string, err error) Check {
		return checked("layers as tars", value, err, "layers stay directories (--lower dir)")
	}
	dir, err := durable.OpenDir(near)
	if err != nil {
		return []Check{tars("", err)}
	}
	defer dir.Close()
	if err := probe.KernelTars(); err != nil {
		if version, without := erofsfuse.Find(ctx); without != nil {
			return []Check{tars("", fmt.Errorf("%w: %w", err, without))}
		} else if os.Geteuid() != 0 {
			return []Check{tars("by erofsfuse "+version+", in 'layerctl unshare'", nil)}
		} else {
			return []Check{tars("by erofsfuse "+version, erofstrial.TryProgram(ctx, dir))}
		}
	}
	found, err := erofstrial.Try(dir)
	if err = errors.Join(err, found.Kernel, found.Mount); err != nil {
		return []Check{tars("", err)}
	}
	return []Check{
		tars("EROFS with blocks of 512 bytes, data on other devices", nil),
		checked("EROFS from files", "no loop devices are needed", found.Files, "loop devices are used instead; Linux 6.12 takes files that are on ext4, xfs or btrfs"),
		checked("overlay on EROFS", "for mount --rw of layers as tars", found.Overlay, "mount --rw of layers as tars takes Linux 6.13"),
		checked("direct reads of tars", "mount --option directio; below 1 GiB of memory by itself", found.Direct, "the page cache holds what is read of layers as tars twice"),
		checked("fs-verity", "for a store that is made with --lower tar --verity", fsverity.Try(ctx, fsverity.Kernel{}, dir), "--verity, by which the kernel checks what is read of layers as tars, takes it; nothing else does"),
	}
}
