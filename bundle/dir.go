// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/fsat"
)

// errForeign says that a directory belongs to another user, who could move a mount and a
// config.json elsewhere.
var errForeign = errkind.New(errkind.Filesystem, "belongs to another user")

const (
	rootName   = "rootfs"
	configName = "config.json"
)

// Dir is the directory of a bundle. Only its owner can enter it (mode 0700), because
// set-user-ID programs in the root filesystem are for the container and not for the
// machine's users. If the container has a user namespace, the group that is root there can
// enter, too (mode 0710), or else the runtime could not.
type Dir struct {
	dir *os.File
	// Root is the path of the root filesystem.
	Root string
}

// OpenDir opens the directory of a bundle, and makes it, and in it an empty directory for
// the root filesystem, if they are missing. It refuses a directory of another user, and a
// path with a symbolic link of another user; a symbolic link in the place of the root
// filesystem is an error. ids are those of [Options].
func OpenDir(path string, ids []specs.LinuxIDMapping) (_ *Dir, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir, err := fsat.MakePlace(path, 0o700)
	if err != nil {
		return nil, err
	}
	d := &Dir{dir: dir, Root: filepath.Join(path, rootName)}
	if err := errors.Join(d.claim(ids), d.makeRoot()); err != nil {
		return nil, errors.Join(err, d.dir.Close())
	}
	return d, nil
}

// claim checks the owner of the directory and sets its mode and group.
func (d *Dir) claim(ids []specs.LinuxIDMapping) error {
	st, err := fsat.Stat(d.dir)
	if err != nil {
		return err
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s %w, uid %d", d.dir.Name(), errForeign, st.Uid)
	}
	fd, mode, group := int(d.dir.Fd()), uint32(0o700), st.Gid
	for _, m := range ids {
		if m.ContainerID == 0 && m.Size > 0 {
			mode, group = 0o710, m.HostID
		}
	}
	if group != st.Gid {
		if err := fsat.ChownFD(fd, st.Uid, group); err != nil {
			return &os.PathError{Op: "chown", Path: d.dir.Name(), Err: err}
		}
	}
	if st.Mode&0o7777 == mode {
		return nil
	}
	if err := fsat.ChmodFD(fd, mode); err != nil {
		return &os.PathError{Op: "chmod", Path: d.dir.Name(), Err: err}
	}
	return nil
}

func (d *Dir) makeRoot() error {
	err := unix.Mkdirat(int(d.dir.Fd()), rootName, 0o755)
	if err == nil {
		return nil
	}
	if err != unix.EEXIST {
		return &os.PathError{Op: "mkdir", Path: d.Root, Err: err}
	}
	st, err := fsat.Lstat(d.dir, rootName)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = &os.PathError{Op: "use", Path: d.Root, Err: unix.ENOTDIR}
	}
	return err
}

// CheckMounted returns an error if nothing is mounted at Root in the directory that was
// opened: somebody has renamed the directory before the mount.
func (d *Dir) CheckMounted() error {
	dir, err := fsat.Stat(d.dir)
	if err != nil {
		return err
	}
	root, err := fsat.Lstat(d.dir, rootName)
	if err == nil && root.Dev == dir.Dev {
		err = fmt.Errorf("%s was moved meanwhile: %w", d.dir.Name(), unix.EXDEV)
	}
	return err
}

// FS returns the root filesystem, which must be mounted. It opens regular files only, and
// no symbolic link leads out of it. closeRoot closes it.
func (d *Dir) FS() (_ fs.FS, closeRoot func() error, err error) {
	fd, err := unix.Openat(int(d.dir.Fd()), rootName, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: d.Root, Err: err}
	}
	root := os.NewFile(uintptr(fd), d.Root)
	return fsat.Files(root), root.Close, nil
}

// WriteConfig writes the config.json, and replaces an old one.
func (d *Dir) WriteConfig(spec *specs.Spec) (err error) {
	raw, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return err
	}
	temp := ".tmp-" + rand.Text()
	f, err := fsat.Create(d.dir, temp, 0o600)
	if err != nil {
		return err
	}
	fd := int(d.dir.Fd())
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Unlinkat(fd, temp, 0))
		}
	}()
	_, err = f.Write(append(raw, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := unix.Renameat(fd, temp, fd, configName); err != nil {
		return &os.LinkError{Op: "rename", Old: temp, New: filepath.Join(d.dir.Name(), configName), Err: err}
	}
	return nil
}

// Close closes the directory.
func (d *Dir) Close() error { return d.dir.Close() }
