// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Recorded is what is known of a layer or, where Index is not "", of an index.
type Recorded struct {
	DiffID digest.Digest
	Size   int64 // of the tar, or of the index
	Index  digest.Digest
}

// Check compares the tar in a layer's directory with its diffID, and what
// [Alone] has written with its UUID; or an index with what its record says. Quick
// leaves that out and reads the journal alone.
func Check(ctx context.Context, c *layercheck.Check, dir *os.File, r Recorded, quick bool) error {
	paths, err := c.Journal(ctx, dir)
	if err != nil || quick {
		return err
	}
	want, got := r.Index, digest.Digest("")
	if want != "" {
		got, err = indexDigest(ctx, dir)
	} else {
		want = r.DiffID
		got, err = tarDigest(ctx, c, dir, r)
	}
	if err != nil {
		return err
	}
	c.Compared(paths, r.Size)
	if got != want {
		c.Differ("", "content", got.String(), want.String())
	}
	return nil
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

// indexDigest is that of the index in the directory dir.
func indexDigest(ctx context.Context, dir *os.File) (digest.Digest, error) {
	f, err := fsat.OpenFile(dir, storedirs.Index)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return sum(ctx, f)
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
