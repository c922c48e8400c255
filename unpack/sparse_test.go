// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"io"
	"strconv"
	"testing"

	"github.com/layerctl/layerctl/internal/filesum"
	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// sparseOpen is a file with "head" at its start, "middle" at 1 MiB, and holes up
// to its size.
func sparseOpen(size int64) []byte {
	return RawTarOpen(
		PAX("GNU.sparse.name", "f", "GNU.sparse.size", strconv.FormatInt(size, 10), "GNU.sparse.numblocks", "2", "GNU.sparse.map", "0,4,1048576,6"),
		RawEntry{Name: "GNUSparseFile.1/f", Type: '0', Mode: 0o644, Body: "headmiddle"})
}

func sparseFile(size int64) []byte { return append(sparseOpen(size), RawTar()...) }

// Who reads a layer gets the zeros of the holes, and the journal their sum.
func TestReadSparse(t *testing.T) {
	var content bytes.Buffer
	var sum uint32
	_, err := unpack.Read(t.Context(), bytes.NewReader(sparseFile(3<<20)), unpack.Source{}, unpack.ReadOptions{
		Content: func(layer.Entry) (io.Writer, error) { return &content, nil },
		Record: func(e layer.Entry) error {
			if e.Type == layer.Regular {
				sum = e.Sum
			}
			return nil
		},
	})
	want := make([]byte, 3<<20)
	copy(want, "head")
	copy(want[1<<20:], "middle")
	if err != nil || !bytes.Equal(content.Bytes(), want) {
		t.Errorf("content of %d bytes, %v", content.Len(), err)
	}
	if got := filesum.Of(want); got != sum {
		t.Errorf("sum = %08x, want %08x", sum, got)
	}
}
