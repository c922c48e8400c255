// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// tryOverlay mounts a tiny overlay of format f, attached nowhere, and looks
// whether a deleted file and an opaque directory's old child are gone. A
// process that may not mount cannot try, and f is taken as it is.
func tryOverlay(dir *os.File, f layer.Form) (tried bool, err error) {
	if err := FillTrial(dir, f); err != nil {
		return false, fmt.Errorf("prepare a trial mount: %w", err)
	}
	root, err := mountTrial(dir, f)
	if err != nil || root == nil {
		return false, err
	}
	defer root.Close()
	if err = CheckTrial(root); err != nil && f.Whiteouts == layer.XattrMarks {
		err = fmt.Errorf("%w; %s", err, xattrMarksSince)
	}
	return true, err
}

const xattrMarksSince = "whiteouts by attribute take Linux 6.8"

// CheckTrial looks at the root of the mounted trial.
func CheckTrial(root *os.File) error {
	for _, name := range []string{"gone", "dir/old"} {
		if _, err := fsat.Lstat(root, name); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("in a trial mount %q is not hidden (%v); overlayfs cannot work on this filesystem with this kernel or program", name, err)
		}
	}
	if _, err := fsat.Lstat(root, "dir/new"); err != nil {
		return fmt.Errorf("in a trial mount a file is missing: %w", err)
	}
	return nil
}

// oldKernel refuses whiteouts by attribute where they could not be tried, on
// kernels that would show them as files.
func oldKernel() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	if release := unix.ByteSliceToString(uts.Release[:]); !isAtLeast(release, 6, 8) {
		return fmt.Errorf("%s, and this is %s", xattrMarksSince, release)
	}
	return nil
}

// isAtLeast compares a kernel's release, "6.1.0-13-amd64"; one that says
// nothing is new enough.
func isAtLeast(release string, major, minor int) bool {
	var x, y int
	if n, _ := fmt.Sscanf(release, "%d.%d", &x, &y); n < 2 {
		return true
	}
	return x > major || x == major && y >= minor
}

// FillTrial makes two layers, lower and upper, in dir. Mounted, they show nothing
// that is deleted.
func FillTrial(dir *os.File, f layer.Form) error {
	fd := int(dir.Fd())
	for _, name := range []string{"lower", "lower/dir", "upper", "upper/dir"} {
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			return err
		}
	}
	files := []string{"lower/gone", "lower/dir/old", "upper/dir/new"}
	if f.Whiteouts == layer.XattrMarks {
		files = append(files, "upper/gone")
	} else if err := unix.Mknodat(fd, "upper/gone", unix.S_IFCHR, 0); err != nil {
		return err
	}
	for _, name := range files {
		if err := os.WriteFile(mounts.DirPath(dir)+"/"+name, nil, 0o644); err != nil {
			return err
		}
	}
	marks := map[string][2]string{"upper/dir": {f.Xattr("opaque"), "y"}}
	if f.Whiteouts == layer.XattrMarks {
		marks["upper/gone"] = [2]string{f.Xattr("whiteout"), "y"}
		marks["upper"] = [2]string{f.Xattr("opaque"), "x"}
	}
	for name, mark := range marks {
		if err := unix.Lsetxattr(mounts.DirPath(dir)+"/"+name, mark[0], []byte(mark[1]), 0); err != nil {
			return err
		}
	}
	return nil
}

// mountTrial returns the root of the trial mount, or nil where the caller may
// not mount or the kernel has no overlay: then pulling is still useful.
func mountTrial(dir *os.File, f layer.Form) (*os.File, error) {
	c, err := mounts.OpenContext("overlay")
	if err != nil {
		return nil, nil
	}
	defer c.Close()
	options := [][2]string{{"source", "layerctl:probe"}, {"lowerdir", mounts.DirPath(dir) + "/upper:" + mounts.DirPath(dir) + "/lower"}}
	for _, o := range options {
		if err := c.Set(o[0], o[1]); err != nil {
			return nil, err
		}
	}
	if f.Xattrs == layer.UserXattrs {
		if err := c.Flag("userxattr"); err != nil {
			return nil, err
		}
	}
	root, err := c.Mount(unix.MOUNT_ATTR_RDONLY)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("overlayfs refuses the filesystem as a lower layer: %w; put the store on ext4, xfs or btrfs", err)
	}
	return root, nil
}
