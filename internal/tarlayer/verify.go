// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/erofs"
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

// Check compares the tar in a layer's directory with its diffID, or an index
// with what its record says. Quick leaves that out and reads the journal alone.
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
		got, err = tarDigest(ctx, dir, r.Size)
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

// tarDigest is that of the tar in a layer's directory, of size bytes.
func tarDigest(ctx context.Context, dir *os.File, size int64) (digest.Digest, error) {
	f, err := fsat.OpenFile(dir, fileName)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if blocks := (size + erofs.BlockSize - 1) / erofs.BlockSize; st.Size() < headSize+blocks*erofs.BlockSize {
		return "", fmt.Errorf("%w: %s has %d bytes, for a tar of %d", journal.ErrDamaged, fileName, st.Size(), size)
	}
	return sum(ctx, io.NewSectionReader(f, headSize, size))
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
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := r.Read(buf)
		d.Hash().Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return d.Digest(), nil
		}
		if err != nil {
			return "", err
		}
	}
}
