// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listTree tells what is below dir in the lines of [model.listing].
func listTree(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	names := map[uint64][]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n, err := readInode(p, info)
		if err != nil {
			return err
		}
		lines = append(lines, describeLine(name, n))
		if ino := info.Sys().(*syscall.Stat_t).Ino; !d.IsDir() {
			names[ino] = append(names[ino], name)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("list the mounted tree: %v", err)
	}
	return append(lines, groupLines(slices.Collect(maps.Values(names)))...)
}

func readInode(p string, info fs.FileInfo) (*inode, error) {
	stat := info.Sys().(*syscall.Stat_t)
	n := &inode{
		mode: int64(stat.Mode & 0o7777), uid: int(stat.Uid), gid: int(stat.Gid),
		modTime: time.Unix(int64(stat.Mtim.Sec), int64(stat.Mtim.Nsec)),
	}
	var err error
	switch stat.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		n.typeflag = tar.TypeDir
	case syscall.S_IFLNK:
		n.typeflag = tar.TypeSymlink
		n.content, err = os.Readlink(p)
	case syscall.S_IFREG:
		n.typeflag = tar.TypeReg
		var b []byte
		b, err = os.ReadFile(p)
		n.content = string(b)
	default:
		n.typeflag = '?'
	}
	if err != nil {
		return nil, err
	}
	n.xattrs, err = readXattrs(p)
	return n, err
}

func readXattrs(p string) (map[string]string, error) {
	buf := make([]byte, 4096)
	size, err := unix.Llistxattr(p, buf)
	if err != nil {
		return nil, err
	}
	xattrs := map[string]string{}
	for _, name := range strings.Split(strings.TrimSuffix(string(buf[:size]), "\x00"), "\x00") {
		// What the kernel keeps for itself is no part of the view.
		if name == "" || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		value := make([]byte, 4096)
		size, err := unix.Lgetxattr(p, name, value)
		if err != nil {
			return nil, err
		}
		xattrs[name] = string(value[:size])
	}
	return xattrs, nil
}
