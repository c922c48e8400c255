// SPDX-License-Identifier: Apache-2.0

// Package fsverity has the kernel check files of the store as they are read, by
// fs-verity (Linux 5.4; ext4 made with -O verity, f2fs, btrfs): the kernel keeps
// a tree of hashes with the file, which nobody can write to any more, and a read
// of what has changed beneath it fails with EIO. A kernel without fs-verity does
// not open such a file at all, so a store has it only where somebody asks.
package fsverity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/probe"
)

// Files are what a filesystem does with its files. [Kernel] is that of this
// machine.
type Files interface {
	// Enable begins to check the file, which is open for reading and which
	// nobody has open for writing.
	Enable(f *os.File) error
	// Enabled reports whether it is checked.
	Enabled(f *os.File) (bool, error)
}

// Kernel asks the kernel.
type Kernel struct{}

// blockSize is that of the tree of hashes. Before Linux 6.3 it had to be the
// size of a page.
const blockSize = 4096

// enableArg is struct fsverity_enable_arg of <linux/fsverity.h>.
type enableArg struct {
	version, algorithm, blockSize, saltSize uint32
	salt                                    uint64
	sigSize, _                              uint32
	sig                                     uint64
	_                                       [11]uint64
}

// The kernel reads 128 bytes.
var _ = [1]struct{}{}[unsafe.Sizeof(enableArg{})-128]

// Enable implements Files. The hash is SHA-256.
func (Kernel) Enable(f *os.File) error {
	arg := enableArg{version: 1, algorithm: unix.FS_VERITY_HASH_ALG_SHA256, blockSize: blockSize}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.FS_IOC_ENABLE_VERITY, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return errno
	}
	return nil
}

// Enabled implements Files.
func (Kernel) Enabled(f *os.File) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, 0, &st); err != nil {
		return false, &os.PathError{Op: "statx", Path: f.Name(), Err: err}
	}
	return st.Attributes&unix.STATX_ATTR_VERITY != 0, nil
}

// Enable has the file of that name in dir checked. Where the host cannot do that
// the error is probe.ErrUnsupported.
func Enable(ctx context.Context, files Files, dir *os.File, name string) error {
	f, err := fsat.OpenFile(dir, name)
	if err != nil {
		return err
	}
	defer f.Close() // only read
	// A program that is being started has our descriptors until it runs, those
	// for writing, too.
	const tries, wait = 200, 5 * time.Millisecond
	for range tries {
		if err = files.Enable(f); !errors.Is(err, unix.ETXTBSY) {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
	return explain(err)
}

// explain says what the kernel's bare error number means.
func explain(err error) error {
	switch {
	case err == nil, errors.Is(err, unix.EEXIST): // it has it
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY):
		return fmt.Errorf("%w: no fs-verity in the kernel (CONFIG_FS_VERITY) or the filesystem (ext4 by tune2fs -O verity, f2fs, btrfs): %w", probe.ErrUnsupported, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: no fs-verity with blocks of %d bytes in the kernel or the filesystem: %w", probe.ErrUnsupported, blockSize, err)
	}
	return fmt.Errorf("enable fs-verity: %w", err)
}

// Try finds out by a file below root, which it removes, whether the filesystem
// there can do it. The error is that of [Enable].
func Try(ctx context.Context, files Files, root *os.File) (err error) {
	name := probe.Prefix + rand.Text()
	f, err := fsat.Create(root, name, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unlinkat(int(root.Fd()), name, 0)) }()
	_, err = f.WriteString(name)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return Enable(ctx, files, root, name)
}
