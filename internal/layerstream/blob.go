// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"errors"
	"fmt"
	"io"
)

// blobReader counts what is read of the blob and keeps its error: what a
// decompressor makes of it may no longer be told from a fault of the data.
type blobReader struct {
	r   io.Reader
	n   int64
	err error
}

func (b *blobReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	b.err = err
	return n, err
}

// failure is the error of the blob itself, if it had one.
func (b *blobReader) failure() error {
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// confirm decides what an error is that calls the data damaged. The transfer may
// have gone wrong, and only the blob's own reader can tell, at its end: so the
// blob is read that far.
func (b *blobReader) confirm(err error) error {
	_, _ = io.Copy(io.Discard, b)
	if failure := b.failure(); failure != nil && !errors.Is(err, failure) {
		return fmt.Errorf("read blob: %w", failure)
	}
	return err
}
