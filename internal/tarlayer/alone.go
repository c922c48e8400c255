// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/erofs"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/sortedview"
	"github.com/layerctl/layerctl/layer"
)

// Layer is one whose file can become a filesystem by itself.
type Layer struct {
	DiffID digest.Digest
	Size   int64 // of the tar
	Facts  layer.Facts
}

// Alone makes the file in a layer's directory a filesystem of this layer alone,
// durably, unless it is one, and opens it: metadata behind the tar, and when that
// is on the disk the superblock in front of it. The tar is not touched, and what an
// interruption leaves is a file that cannot be mounted by itself yet. Equal layers
// make equal bytes. What is too much for memory meanwhile goes to files without
// a name in tmp.
//
// Whiteouts and opaque directories are as overlayfs wants them of a layer: device
// files 0:0, and the attribute trusted.overlay.opaque.
func Alone(ctx context.Context, dir *os.File, l Layer, tmp string) (_ *os.File, err error) {
	f, err := openAlone(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	// The lock goes with f, or with the process.
	if err := durable.Flock(ctx, f, durable.Exclusive, nil); err != nil {
		return nil, err
	}
	got, want, err := own(ctx, f, l)
	switch {
	case err != nil:
		return nil, err
	case got != want:
		return nil, fmt.Errorf("%w: the filesystem of layer %s alone is %s and was %s", journal.ErrDamaged, l.DiffID, got, want)
	case got != "": // which a process that died may have left to be synced
		return f, durable.SyncFile(ctx, f)
	}
	sb, err := writeAlone(ctx, f, dir, l, tmp)
	if err != nil {
		return nil, errors.Join(err, f.Truncate(behindTar(l.Size)))
	}
	if err := durable.Fault(ctx, "write superblock"); err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(sb[:], erofs.SuperAt); err != nil {
		return nil, err
	}
	return f, durable.SyncFile(ctx, f)
}

// openAlone opens a layer's file to be written.
func openAlone(dir *os.File) (*os.File, error) {
	found, err := fsat.OpenFile(dir, fileName)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", found.Fd()), os.O_RDWR|unix.O_CLOEXEC, 0)
}

// behindTar is where the metadata begins in the file of a layer with a tar of
// size bytes.
func behindTar(size int64) int64 {
	return headSize + (size+erofs.BlockSize-1)/erofs.BlockSize*erofs.BlockSize
}

// writeAlone writes all but the superblock.
func writeAlone(ctx context.Context, f, dir *os.File, l Layer, tmp string) (*erofs.Superblock, error) {
	if err := durable.Fault(ctx, "write metadata"); err != nil {
		return nil, err
	}
	if err := f.Truncate(behindTar(l.Size)); err != nil { // what an interruption has left
		return nil, err
	}
	view := sortedview.New(sortedview.Options{Dir: tmp, Alone: true})
	defer view.Close()
	if err := view.Add(ctx, records(dir), l.Facts); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	data := erofs.Device{Size: behindTar(l.Size), ReadAt: f.ReadAt}
	sb, err := erofs.WriteBehind(f, data, func(add func(erofs.Entry) error) error {
		return view.All(ctx, func(e sortedview.File) error {
			return add(erofs.Entry{Path: e.Path, Inode: aloneInode(&e), File: e.File})
		})
	})
	if err != nil {
		return nil, err
	}
	if err := durable.SyncFile(ctx, f); err != nil {
		return nil, err
	}
	id, err := aloneID(ctx, f, l, *sb)
	copy(sb.UUID(), id)
	return sb, err
}

// opaqueMark is what overlayfs knows a directory by that hides those below it.
const opaqueMark = "trusted.overlay.opaque"

func aloneInode(f *sortedview.File) erofs.Inode {
	if f.Type == layer.Whiteout {
		return erofs.Inode{Type: layer.CharDevice, ModTime: f.ModTime}
	}
	i := inode(f, []int{0})
	if f.Opaque != layer.Transparent && f.Path != "." { // where the kernel does not look
		if i.Xattrs = maps.Clone(i.Xattrs); i.Xattrs == nil {
			i.Xattrs = map[string]string{}
		}
		i.Xattrs[opaqueMark] = "y"
	}
	return i
}

// aloneID is the UUID of a layer's filesystem: the first bytes of the SHA-256 of
// the diffID, the superblock without a UUID, and the metadata behind the tar. So
// it tells whether any of these was changed.
func aloneID(ctx context.Context, f *os.File, l Layer, sb erofs.Superblock) ([]byte, error) {
	clear(sb.UUID())
	h := sha256.New()
	h.Write([]byte(l.DiffID))
	h.Write(sb[:])
	begin := behindTar(l.Size)
	if err := hashInto(ctx, h, io.NewSectionReader(f, begin, max(sb.Size()-begin, 0))); err != nil {
		return nil, err
	}
	return h.Sum(nil)[:len(sb.UUID())], nil
}

func superblock(f *os.File) (sb erofs.Superblock, err error) {
	_, err = f.ReadAt(sb[:], erofs.SuperAt)
	return sb, short(err)
}

// own is the UUID that the filesystem of a layer alone comes to, and the one that it
// has; both are "" where there is none.
func own(ctx context.Context, f *os.File, l Layer) (got, want string, err error) {
	sb, err := superblock(f)
	if err != nil || !sb.Valid() {
		return "", "", err
	}
	id, err := aloneID(ctx, f, l, sb)
	return hex.EncodeToString(id), hex.EncodeToString(sb.UUID()), err
}

// IsAlone reports whether the file of a layer in a directory is as [Alone] leaves
// it, but for its tar, which is not read.
func IsAlone(ctx context.Context, dir *os.File, l Layer) (bool, error) {
	f, err := fsat.OpenFile(dir, fileName)
	if err != nil {
		return false, err
	}
	defer f.Close()
	got, want, err := own(ctx, f, l)
	if errors.Is(err, journal.ErrDamaged) { // too short for it
		return false, nil
	}
	return got == want && got != "", err
}

// CheckAlone compares a file of a layer that [Alone] has made, wherever its directory
// is.
func CheckAlone(ctx context.Context, c *layercheck.Check, dir *os.File, l Layer) error {
	is, err := hasOwn(dir)
	if err == nil && !is {
		c.Differ("", "own filesystem", "", "")
	}
	var got digest.Digest
	if err == nil {
		got, err = tarDigest(ctx, c, dir, Recorded{DiffID: l.DiffID, Size: l.Size})
	}
	c.Compared(1, l.Size)
	return compareGiven(c, "content", got, l.DiffID, err)
}

// hasOwn reports whether the file of a layer in a directory has a superblock.
func hasOwn(dir *os.File) (bool, error) {
	f, err := fsat.OpenFile(dir, fileName)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sb, err := superblock(f)
	return sb.Valid(), err
}

// CheckIndex compares an index that an engine has under a name with its digest, quick
// only whether it is there.
func CheckIndex(ctx context.Context, c *layercheck.Check, dir *os.File, name string, want digest.Digest, quick bool) error {
	got, err := want, error(nil)
	if quick {
		_, err = fsat.Lstat(dir, name)
	} else {
		got, err = fileDigest(ctx, dir, name)
	}
	return compareGiven(c, "index", got, want, err)
}

// fileDigest is the digest of a file in a directory.
func fileDigest(ctx context.Context, dir *os.File, name string) (digest.Digest, error) {
	f, err := fsat.OpenFile(dir, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return sum(ctx, f)
}
