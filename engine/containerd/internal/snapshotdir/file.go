// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// Open opens a directory that the engine names, which is the process pid unless that
// is 0, and makes sure that it means the same one.
func Open(path string, pid int32) (*os.File, error) {
	dir, err := durable.OpenDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: its directory %s is not there for this process; run it where the engine runs, not in a container", failure.ErrUnsupported, path)
	}
	if err != nil || pid <= 0 {
		return dir, err
	}
	here, err := dir.Stat()
	there, lost := os.Stat(fmt.Sprintf("/proc/%d/root%s", pid, path))
	if err == nil && lost == nil && !os.SameFile(here, there) {
		return nil, errors.Join(fmt.Errorf("%w: its directory %s is another one than this process sees; run it in the engine's mount namespace", failure.ErrUnsupported, path), dir.Close())
	}
	return dir, nil
}

// ErrMarked says that files cannot be shared with an engine, or not be replaced.
var ErrMarked = errors.New("the engine makes the files of its layers immutable, or has the kernel verify them (set_immutable, enable_fsverity)")

// marks are the attributes that a file shares with all its names.
const marks = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_VERITY

// Marked says whether a file has attributes that its other names would have too.
func Marked(f *os.File) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, 0, &st); err != nil {
		return false, &os.PathError{Op: "statx", Path: f.Name(), Err: err}
	}
	return st.Attributes&marks != 0, nil
}

// Probe makes the file of a layer of nothing in a snapshot's directory and opens it
// to be read: the kernel begins to verify no file that somebody may write to.
func Probe(dir *os.File) (*os.File, error) {
	f, err := fsat.Create(dir, Layer, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(make([]byte, 4096))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return fsat.OpenFile(dir, Layer)
}

// Rename renames a file, over one that has the name.
func Rename(from *os.File, name string, to *os.File, final string) error {
	if err := unix.Renameat(int(from.Fd()), name, int(to.Fd()), final); err != nil {
		return &os.LinkError{Op: "rename", Old: path.Join(from.Name(), name), New: path.Join(to.Name(), final), Err: err}
	}
	return nil
}

// Replace puts a file in the place of another in a snapshot's directory, atomically
// and durably: place makes it, under the same name, in a directory aside, whose name
// begins with prefix. What is mounted goes on with the old file.
func Replace(ctx context.Context, dir *os.File, name, prefix string, place func(to *os.File) error) (err error) {
	if err := forget(dir, prefix); err != nil { // what was interrupted
		return err
	}
	if err := replaceable(dir, name); err != nil {
		return err
	}
	aside := prefix + rand.Text()
	if err := durable.Mkdir(ctx, dir, aside, 0o700); err != nil {
		return err
	}
	to, err := durable.OpenDirAt(dir, aside)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close(), forget(dir, prefix)) }()
	if err := place(to); err != nil {
		return err
	}
	if err := durable.SyncFS(ctx, to); err != nil {
		return err
	}
	if err := Rename(to, name, dir, name); err != nil {
		return err
	}
	return durable.SyncDir(ctx, dir)
}

func replaceable(dir *os.File, name string) error {
	old, err := fsat.OpenFile(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	marked, err := Marked(old)
	if err == nil && marked {
		err = fmt.Errorf("%s of a layer cannot be replaced: %w", name, ErrMarked)
	}
	return errors.Join(err, old.Close())
}

func forget(dir *os.File, prefix string) error {
	names, err := fsat.Names(dir)
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			err = errors.Join(err, fsat.RemoveAll(dir, name))
		}
	}
	return err
}
