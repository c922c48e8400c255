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
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Digest is that of the tar in a layer's directory, of size bytes.
func Digest(ctx context.Context, dir *os.File, size int64) (digest.Digest, error) {
	f, err := fsat.OpenFile(dir, Name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if blocks := (size + erofs.BlockSize - 1) / erofs.BlockSize; st.Size() < headSize+blocks*erofs.BlockSize {
		return "", fmt.Errorf("%w: %s has %d bytes, for a tar of %d", journal.ErrDamaged, Name, st.Size(), size)
	}
	return sum(ctx, io.NewSectionReader(f, headSize, size))
}

// IndexDigest is that of the index in the directory dir.
func IndexDigest(ctx context.Context, dir *os.File) (digest.Digest, error) {
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
