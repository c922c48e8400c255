// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/layer"
)

// Form finds out by trying what the filesystem under root can do, and chooses
// the form of a store by it. The name of a filesystem says too little: the same
// one differs by kernel, mount options and the caller's namespace. What is
// wanted of ids and whiteouts is in the form; where it cannot be the error is
// [ErrUnsupported].
func Form(ctx context.Context, root *os.File, wanted layer.Form) (_ layer.Form, err error) {
	if err := durable.Fault(ctx, "probe"); err != nil {
		return layer.Form{}, err
	}
	name := Prefix + rand.Text()
	if err := unix.Mkdirat(int(root.Fd()), name, 0o700); err != nil {
		return layer.Form{}, &os.PathError{Op: "mkdir", Path: root.Name() + "/" + name, Err: err}
	}
	dir, err := durable.OpenDirAt(root, name)
	if err != nil {
		return layer.Form{}, err
	}
	defer func() {
		err = errors.Join(err, dir.Close(), fsat.RemoveAll(root, name))
	}()
	if err := probeBasics(dir); err != nil {
		return layer.Form{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	f := layer.Form{}
	if f.IDs, err = chooseIDs(dir, wanted.IDs); err != nil {
		return layer.Form{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if f.Xattrs, err = probeXattrs(dir); err != nil {
		return layer.Form{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if f.Whiteouts, err = probeWhiteouts(dir, f.Xattrs, wanted.Whiteouts); err != nil {
		return layer.Form{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	tried, err := tryOverlay(dir, f)
	if err == nil && !tried && wanted.Whiteouts == layer.XattrMarks {
		err = oldKernel()
	}
	if err != nil {
		return layer.Form{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return f, nil
}

// probeBasics tries what no store can do without.
func probeBasics(dir *os.File) error {
	for _, step := range []struct {
		lack string
		try  func(*os.File) error
	}{
		{"renames without replacing (renameat2 RENAME_NOREPLACE)", tryRename},
		{"locks files (flock)", tryFlock},
		{"keeps names byte for byte, and upper and lower case apart", tryNames},
		{"keeps modes, symbolic links and hard links", tryTypes},
		{"tells file types in directories (d_type)", DirTypes},
		{"can be synced (syncfs)", func(d *os.File) error { return unix.Syncfs(int(d.Fd())) }},
	} {
		if err := step.try(dir); err != nil {
			return fmt.Errorf("the filesystem is not one that %s: %w; put the store on ext4, xfs or btrfs", step.lack, err)
		}
	}
	return nil
}

func tryRename(dir *os.File) error {
	fd := int(dir.Fd())
	for _, name := range []string{"from", "to"} {
		if err := unix.Mkdirat(fd, name, 0o700); err != nil {
			return err
		}
	}
	if err := unix.Renameat2(fd, "from", fd, "to", unix.RENAME_NOREPLACE); err != unix.EEXIST {
		return fmt.Errorf("rename onto a directory: %w", errors.Join(err, errUnexpected))
	}
	return unix.Renameat2(fd, "from", fd, "moved", unix.RENAME_NOREPLACE)
}

var errUnexpected = errors.New("not what a local filesystem answers")

func tryFlock(dir *os.File) error {
	var files [2]*os.File
	for i := range files {
		f, err := tryFile(dir, "flock", i == 0)
		if err != nil {
			return err
		}
		defer f.Close()
		files[i] = f
	}
	if ok, err := durable.TryFlock(files[0], durable.Exclusive); err != nil || !ok {
		return errors.Join(err, errUnexpected)
	}
	if ok, err := durable.TryFlock(files[1], durable.Exclusive); err != nil || ok {
		return errors.Join(err, errUnexpected)
	}
	return nil
}

// tryFile makes a file, or opens the one that is there.
func tryFile(dir *os.File, name string, create bool) (*os.File, error) {
	if create {
		return fsat.Create(dir, name, 0o600)
	}
	return fsat.OpenFile(dir, name)
}

func tryNames(dir *os.File) error {
	for _, name := range []string{"case", "CASE", "\xff\xfe", "a:b?*\\ .", strings.Repeat("n", 255)} {
		f, err := fsat.Create(dir, name, 0o600)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

func tryTypes(dir *os.File) error {
	fd := int(dir.Fd())
	f, err := fsat.Create(dir, "file", 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fchmod(int(f.Fd()), 0o4751); err != nil {
		return err
	}
	if err := unix.Linkat(fd, "file", fd, "linked", 0); err != nil {
		return err
	}
	if err := unix.Symlinkat("file", fd, "symlink"); err != nil {
		return err
	}
	st, err := fsat.Lstat(dir, "linked")
	if err != nil {
		return err
	}
	if st.Mode&0o7777 != 0o4751 || st.Nlink != 2 {
		return errUnexpected
	}
	return nil
}

// DirTypes fails where a listing of dir does not tell the types of its files, as
// overlayfs needs it.
func DirTypes(dir *os.File) error {
	buf := make([]byte, 1<<15)
	again, err := fsat.OpenDir(dir, ".")
	if err != nil {
		return err
	}
	defer again.Close()
	n, err := unix.Getdents(int(again.Fd()), buf)
	if err != nil {
		return err
	}
	// linux_dirent64: ino, off, reclen at byte 16, type at byte 18 (getdents(2)).
	for rest := buf[:n]; len(rest) > 18; {
		size := int(binary.NativeEndian.Uint16(rest[16:]))
		if size <= 18 || size > len(rest) || rest[18] == unix.DT_UNKNOWN {
			return errUnexpected
		}
		rest = rest[size:]
	}
	return nil
}

// probeXattrs prefers trusted.*, which nobody in a container can forge. It
// needs CAP_SYS_ADMIN in the first user namespace.
func probeXattrs(dir *os.File) (layer.Xattrs, error) {
	trusted := unix.Fsetxattr(int(dir.Fd()), "trusted.overlay.opaque", []byte("y"), 0)
	if trusted == nil {
		return layer.TrustedXattrs, nil
	}
	user := unix.Fsetxattr(int(dir.Fd()), "user.overlay.opaque", []byte("y"), 0)
	if user == nil {
		return layer.UserXattrs, nil
	}
	return "", fmt.Errorf("the filesystem takes neither trusted.* (%w) nor user.* extended attributes (%w); put the store on ext4, xfs or btrfs", trusted, user)
}

// probeWhiteouts falls back to whiteouts by attribute only with user.* ones:
// root for whom trusted.* works but device 0:0 does not stands on an overlay,
// a container's own root filesystem, and what is kept there goes with it.
// Whether those that are wanted work the trial mount tells.
func probeWhiteouts(dir *os.File, x layer.Xattrs, wanted layer.Whiteouts) (layer.Whiteouts, error) {
	switch wanted {
	case "", layer.CharDevices:
	case layer.XattrMarks:
		return layer.XattrMarks, nil
	default:
		return "", fmt.Errorf("there is no form of whiteouts %q", wanted)
	}
	err := unix.Mknodat(int(dir.Fd()), "whiteout", unix.S_IFCHR, 0)
	if err == nil {
		st, err := fsat.Lstat(dir, "whiteout")
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			return layer.CharDevices, nil
		}
		return "", errors.Join(err, errUnexpected)
	}
	const refused = "the filesystem refuses the device 0:0 that stands for a deleted file"
	if wanted == layer.CharDevices {
		return "", fmt.Errorf("%s (%w), as overlayfs does", refused, err)
	}
	if x == layer.TrustedXattrs {
		return "", fmt.Errorf("%s (%w), as overlayfs does: is this a container's root filesystem? put the store on a volume, or ask for whiteouts in the form %q", refused, err, layer.XattrMarks)
	}
	return layer.XattrMarks, nil
}

// chooseIDs takes what is wanted if it is there: owners can be squashed
// everywhere.
func chooseIDs(dir *os.File, wanted layer.IDs) (layer.IDs, error) {
	possible := probeIDs(dir)
	if wanted != "" && wanted != layer.SquashedIDs && wanted != possible {
		return "", fmt.Errorf("this process cannot keep owners in the form %q, only in the form %q", wanted, possible)
	}
	return cmp.Or(wanted, possible), nil
}

func probeIDs(dir *os.File) layer.IDs {
	if os.Geteuid() != 0 {
		return layer.SquashedIDs
	}
	raw, err := os.Open("/proc/self/uid_map")
	if err != nil {
		return layer.SquashedIDs
	}
	defer raw.Close()
	mapped := mappedIDs(raw)
	if mapped < 2 {
		return layer.SquashedIDs
	}
	// With all ids mapped but no CAP_CHOWN there is no keeping them.
	f, err := fsat.Create(dir, "owned", 0o600)
	if err != nil {
		return layer.SquashedIDs
	}
	defer f.Close()
	switch err := unix.Fchown(int(f.Fd()), 1, 1); {
	case err != nil:
		return layer.SquashedIDs
	case mapped == 1<<32-1:
		return layer.HostIDs
	}
	return layer.MappedIDs
}

// AllIDs tells the first user namespace from others.
func AllIDs() bool {
	f, err := os.Open("/proc/self/uid_map")
	if err != nil {
		return true
	}
	defer f.Close()
	return mappedIDs(f) == 1<<32-1
}

// mappedIDs counts the ids in a uid_map (user_namespaces(7)).
func mappedIDs(r io.Reader) uint64 {
	var total uint64
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			continue
		}
		n, err := strconv.ParseUint(fields[2], 10, 32)
		if err == nil {
			total += n
		}
	}
	return total
}
