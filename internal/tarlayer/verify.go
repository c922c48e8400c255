// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/fsverity"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Recorded is what is known of a layer or, where Index is not "", of an index.
type Recorded struct {
	DiffID digest.Digest
	Size   int64 // of the tar, or of the index
	Index  digest.Digest
	Verity fsverity.Files // of a store whose files have fs-verity, else nil
}

// Unprotected reports whether a difference that [Check] has found is that the kernel does
// not check the file.
func Unprotected(field, got string) bool { return field == verity && got == off }

const (
	verity = "fs-verity"
	off    = "off"
)

// ProtectAgain is [Protect] of what has lost it and differs in nothing else, and makes it
// durable. It reports whether that is so.
func ProtectAgain(ctx context.Context, dir *os.File, r Recorded) (again bool, err error) {
	c := layercheck.New(layercheck.Options{})
	if err := Check(ctx, c, dir, r, false); errors.Is(err, journal.ErrDamaged) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for _, d := range c.Result().Differences {
		if !Unprotected(d.Field, d.Got) {
			return false, nil
		}
	}
	if err = Protect(ctx, dir, r.Verity); err == nil {
		err = durable.SyncFS(ctx, dir)
	}
	if err != nil {
		err = fmt.Errorf("enable fs-verity again for %s: %w", r.DiffID, err)
	}
	return err == nil, err
}

// Protect has the kernel check the layer's file, or the index, that is complete in
// the directory dir; nil files do nothing. The next sync writes the hashes, too.
func Protect(ctx context.Context, dir *os.File, files fsverity.Files) error {
	if files == nil {
		return nil
	}
	if err := durable.Fault(ctx, "enable fs-verity"); err != nil {
		return err
	}
	err := fsverity.Enable(ctx, files, dir, fileName)
	if errors.Is(err, fs.ErrNotExist) {
		err = fsverity.Enable(ctx, files, dir, storedirs.Index)
	}
	return err
}

// name is that of the file.
func (r Recorded) name() string {
	if r.Index != "" {
		return storedirs.Index
	}
	return fileName
}

// Check compares the tar in a layer's directory with its diffID, and what
// [Alone] has written with its UUID; or an index with what its record says. Quick
// leaves that out and reads the journal alone.
func Check(ctx context.Context, c *layercheck.Check, dir *os.File, r Recorded, quick bool) error {
	paths, err := c.Journal(ctx, dir)
	opens := true
	if err == nil && r.Verity != nil {
		opens, err = protected(c, dir, r)
	}
	if err != nil || quick || !opens {
		return err
	}
	want, got := r.Index, digest.Digest("")
	if want != "" {
		got, err = fileDigest(ctx, dir, storedirs.Index)
	} else {
		want = r.DiffID
		got, err = tarDigest(ctx, c, dir, r)
	}
	if err := compare(c, "content", got, want, err); err != nil {
		return err
	}
	c.Compared(paths, r.Size)
	return nil
}

// unreadable is true for an error that says that the disk does not give out what it
// had: a bad sector, what fs-verity keeps from everybody, or with fs-verity a file
// that cannot be opened, for what the kernel has of it beside the file is damaged.
func unreadable(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.EINVAL)
}

// compare notes a digest that is another one, and what cannot be read.
func compare(c *layercheck.Check, field string, got, want digest.Digest, err error) error {
	switch {
	case unreadable(err):
		c.Differ("", field, err.Error(), want.String())
	case err != nil:
		return err
	case got != want:
		c.Differ("", field, got.String(), want.String())
	}
	return nil
}

// compareGiven is compare of a file that an engine has, where one that is cut short or
// is not there differs, too.
func compareGiven(c *layercheck.Check, field string, got, want digest.Digest, err error) error {
	if errors.Is(err, journal.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		c.Differ("", field, err.Error(), want.String())
		return nil
	}
	return compare(c, field, got, want, err)
}

// protected compares whether the kernel checks the file, and reports whether it can
// be opened: a copy of a store has lost that.
func protected(c *layercheck.Check, dir *os.File, r Recorded) (opens bool, err error) {
	f, err := fsat.OpenFile(dir, r.name())
	if unreadable(err) {
		c.Differ("", verity, err.Error(), "on")
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() // only read
	on, err := r.Verity.Enabled(f)
	if err == nil && !on {
		c.Differ("", verity, off, "on")
	}
	return true, err
}

// tarDigest is that of the tar in a layer's directory. What is around it is
// compared meanwhile.
func tarDigest(ctx context.Context, c *layercheck.Check, dir *os.File, r Recorded) (digest.Digest, error) {
	f, err := fsat.OpenFile(dir, fileName)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if st.Size() < behindTar(r.Size) {
		return "", fmt.Errorf("%w: %s has %d bytes, for a tar of %d", journal.ErrDamaged, fileName, st.Size(), r.Size)
	}
	got, want, err := own(ctx, f, Layer{DiffID: r.DiffID, Size: r.Size})
	if err != nil {
		return "", err
	}
	if got != want {
		c.Differ("", "own filesystem", got, want)
	}
	return sum(ctx, io.NewSectionReader(f, headSize, r.Size))
}

func sum(ctx context.Context, r io.Reader) (digest.Digest, error) {
	d := digest.SHA256.Digester()
	err := hashInto(ctx, d.Hash(), r)
	return d.Digest(), err
}

func hashInto(ctx context.Context, h hash.Hash, r io.Reader) error {
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
