// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// mistake is one that people make with overlay mounts. before is what the
// kernel and mount(8) do about it: in full the test makes it with mount(8) and looks
// for before in what that says, or "mounts" where it succeeds with something
// else than was asked. after must be in what layerctl says.
type mistake struct {
	name   string
	make   string // shell, with $U upper, $W work, $B around both, $S store, $T target
	change func(*mountPair, *Options)
	before string
	after  string
	raw    string // mount(8) options instead of lower, upper and work as they are
	undo   string
	needs  func(*testing.T)
}

const generic = "wrong fs type, bad option, bad superblock"

func mistakes() []mistake {
	set := func(upper, work string) func(*mountPair, *Options) {
		return func(p *mountPair, o *Options) {
			o.Upper, o.Work = filepath.Join(p.base, upper), filepath.Join(p.base, work)
		}
	}
	fs := func(kind string) string {
		return `mkdir "$B/fs"; mount -t ` + kind + ` none "$B/fs"; mkdir "$B/fs/u" "$B/fs/w"`
	}
	onFS := set("fs/u", "fs/w")
	const unmountFS = `umount -l "$B/fs"`
	return []mistake{
		{name: "upper is missing", change: set("nope", "work"), before: "does not exist", after: `the upper dir "`},
		{name: "work is missing", change: set("upper", "nope"), before: "does not exist", after: `the work dir "`},
		{name: "upper is a file", make: `touch "$B/file"`, change: set("file", "work"), before: generic, after: "is no directory"},
		{name: "work on another filesystem", make: fs("tmpfs"), change: set("upper", "fs/w"), before: generic, after: "on different mounts", undo: unmountFS},
		{name: "work on a bind mount of the same filesystem", make: `mkdir "$B/fs"; mount --bind "$B" "$B/fs"`, change: set("upper", "fs/work"), before: generic, after: "on different mounts", undo: unmountFS},
		{name: "work is upper", change: set("upper", "upper"), before: generic, after: "the same directory"},
		{name: "work inside upper", make: `mkdir "$U/w"`, change: set("upper", "upper/w"), before: generic, after: "one is inside the other"},
		{name: "upper inside work", make: `mkdir "$W/u"`, change: set("work/u", "work"), before: generic, after: "one is inside the other"},
		{name: "upper is a lower", make: `mkdir "$B/w"`, change: func(p *mountPair, o *Options) {
			o.Upper = lowerDirs(p.s, p.img.Layers[0])[0]
		}, before: "Too many levels of symbolic links", after: "overlaps the store"},
		{name: "a lower inside upper", change: func(p *mountPair, o *Options) {
			o.Upper = filepath.Dir(lowerDirs(p.s, p.img.Layers[0])[0])
		}, before: "Too many levels of symbolic links", after: "overlaps the store"},
		{name: "upper inside a lower", make: `for d in "$S"/layers/*/fs; do mkdir "$d/in-lower"; done`, change: func(p *mountPair, o *Options) {
			o.Upper = filepath.Join(lowerDirs(p.s, p.img.Layers[0])[0], "in-lower")
		}, before: "mounts", after: "overlaps the store"},
		{name: "a read-only filesystem", make: fs("tmpfs") + `; mount -o remount,ro "$B/fs"`, change: onFS, before: generic, after: "read-only", undo: unmountFS},
		{name: "upper on an overlay", make: `mkdir "$B/fs" "$B/l" "$B/l2" "$B/l/u" "$B/l/w"; mount -t overlay x -o "lowerdir=$B/l:$B/l2,upperdir=$U,workdir=$W" "$B/fs"; mkdir -p "$B/fs/u" "$B/fs/w"`,
			change: onFS, before: generic, after: "is on overlayfs", undo: unmountFS},
		{name: "upper on FUSE", needs: needsFUSE, make: `mkdir "$B/fs" "$B/l"; fuse-overlayfs -o "lowerdir=$B/l,upperdir=$U,workdir=$W" "$B/fs"; mkdir "$B/fs/u" "$B/fs/w"`,
			change: onFS, before: generic, after: "is on FUSE", undo: unmountFS},
		{name: "no extended attributes", make: fs("ramfs"), change: onFS, before: "mounts", after: "extended attributes", undo: unmountFS},
		{name: "no file types in directories", make: `mkdir "$B/fs"; truncate -s 8M "$B/img"; mkfs.ext4 -q -O ^filetype "$B/img"; mount -o loop "$B/img" "$B/fs"; mkdir "$B/fs/u" "$B/fs/w"`,
			change: onFS, before: "mounts", after: "d_type", undo: unmountFS},
		{name: "work is immutable", make: `chattr +i "$W"`, before: "mounts", after: "cannot be written to", undo: `chattr -i "$W"`},
		{name: "no inodes left", make: `mkdir "$B/fs"; mount -t tmpfs -o nr_inodes=3 none "$B/fs"; mkdir "$B/fs/u" "$B/fs/w"`, change: onFS, before: "mounts", after: "out of inodes", undo: unmountFS},
		{name: "upper in use by another overlay", make: `mkdir "$B/fs" "$B/l"; mount -t overlay x -o "lowerdir=$B/l,upperdir=$U,workdir=$W" "$B/fs"`, before: "mounts", after: "in use by the mount at", undo: unmountFS},
		{name: "what a volatile mount leaves", make: `mkdir -p "$W/work/incompat/volatile"`, before: generic, after: "volatile mount in another boot"},
		{name: "one layer twice", before: "Too many levels of symbolic links", raw: "lowerdir=$L:$L", change: func(p *mountPair, o *Options) {
			p.img.Layers = append(p.img.Layers, p.img.Layers[0], p.img.Layers[0])
		}, after: ""},
		{name: "one layer and no upper", before: generic, raw: "lowerdir=$L", change: func(p *mountPair, o *Options) {
			p.img.Layers, *o = p.img.Layers[:1], Options{}
		}, after: ""},
		{name: "upper and no work", before: generic, raw: "lowerdir=$L,upperdir=$U", change: func(_ *mountPair, o *Options) { o.Work = "" }, after: "an upper dir needs a work dir"},
		{name: "work and no upper", before: "mounts", raw: "lowerdir=$L:$B/target,workdir=$W", change: func(_ *mountPair, o *Options) { o.Upper = "" }, after: "an upper dir needs a work dir"},
		{name: "volatile and no upper", before: "mounts", raw: "lowerdir=$L:$B/target,volatile",
			change: func(_ *mountPair, o *Options) { *o = Options{Volatile: true} }, after: "volatile concerns what is written"},
		{name: "metacopy as an ordinary user", before: generic, raw: "lowerdir=$L,upperdir=$U,workdir=$W,userxattr,metacopy=on",
			change: func(p *mountPair, o *Options) {
				p.s, o.Options = inForm(p.s, p.s.Format().Whiteouts, layer.UserXattrs), []string{"metacopy=on"}
			}, after: "trusts only trusted.*"},
		{name: "redirects as an ordinary user", before: generic, raw: "lowerdir=$L,upperdir=$U,workdir=$W,userxattr,redirect_dir=on",
			change: func(p *mountPair, o *Options) {
				p.s, o.Options = inForm(p.s, p.s.Format().Whiteouts, layer.UserXattrs), []string{"redirect_dir=on"}
			}, after: "only nofollow goes"},
		{name: "nfs_export without its index", before: generic, raw: "lowerdir=$L,upperdir=$U,workdir=$W,nfs_export=on,index=off",
			change: func(_ *mountPair, o *Options) { o.Options = []string{"nfs_export=on", "index=off"} }, after: "conflicts with index=off"},
		{name: "options that conflict", before: generic, raw: "lowerdir=$L,upperdir=$U,workdir=$W,metacopy=on,redirect_dir=off",
			change: func(_ *mountPair, o *Options) { o.Options = []string{"metacopy=on", "redirect_dir=off"} }, after: "conflicts with redirect_dir=off"},
		{name: "an option that there is not", before: generic, raw: "lowerdir=$L,upperdir=$U,workdir=$W,bogus",
			change: func(_ *mountPair, o *Options) { o.Options = []string{"bogus"} }, after: "it is none of"},
		{name: "a layer is missing", before: "does not exist", raw: "lowerdir=$L-not:$L", change: func(p *mountPair, _ *Options) {
			p.img.Layers = append(p.img.Layers, layerID("never pulled"))
		}, after: "pull the image again"},
		{name: "the mount point is missing", make: `rmdir "$T"`, before: "mount point does not exist", after: "mount point does not exist", undo: `mkdir "$T"`},
		{name: "the mount point is a file", make: `rmdir "$T"; touch "$T"`, before: "mount point is not a directory", after: "no directory"},
	}
}

func TestMistakesAreExplained(t *testing.T) {
	needsRoot(t, "it makes filesystems")
	for _, c := range mistakes() {
		t.Run(c.name, func(t *testing.T) {
			if c.needs != nil {
				c.needs(t)
			}
			p := newMountPair(t)
			t.Cleanup(func() { p.run(t, c.undo) })
			p.run(t, c.make)
			o := p.options()
			lower := lowerDirs(p.s, p.img.Layers[1], p.img.Layers[0])
			if c.change != nil {
				c.change(p, &o)
			}
			err := p.mount(t, o)
			if c.after == "" {
				if err != nil {
					t.Errorf("after: %v, want it to just work", err)
				} else {
					p.unmount(t)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.after) {
				t.Errorf("after: %v\nwant %q", err, c.after)
			}
			if os.Getenv("LAYERCTL_FULL") != "1" {
				return // what others say takes starts of mount(8)
			}
			raw := c.raw
			if raw == "" {
				raw = fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"), o.Upper, o.Work)
			}
			before := mountRaw(t, p, raw, lower[0])
			if !strings.Contains(before, c.before) {
				t.Errorf("before: %s\nwant %q", before, c.before)
			}
			t.Logf("before: %s\nafter:  %v", before, err)
		})
	}
}

// mountRaw is how people do it by hand, and what they are told.
func mountRaw(t *testing.T, p *mountPair, options, lower string) string {
	t.Helper()
	options = os.Expand(options, func(name string) string {
		return map[string]string{"L": lower, "U": p.upper, "W": p.work, "B": p.base}[name]
	})
	cmd := exec.Command("mount", "-t", "overlay", "by-hand", "-o", options, p.target)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "LIBMOUNT_FORCE_MOUNT2=always")
	out, err := cmd.CombinedOutput()
	if err == nil {
		if err := unix.Unmount(p.target, 0); err != nil {
			t.Error(err)
		}
		return "mounts"
	}
	return strings.TrimSpace(string(out))
}

// needsFUSE mounts by fuse-overlayfs, or skips.
func needsFUSE(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("fuse-overlayfs"); err != nil {
		t.Skipf("needs fuse-overlayfs: %v", err)
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a kernel that has FUSE: %v", err)
	}
	f.Close()
}
