// SPDX-License-Identifier: Apache-2.0

package layertar_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertar"
)

// BenchmarkReader reads the headers of 10,000 small files, and archive/tar does
// beside it.
func BenchmarkReader(b *testing.B) {
	var files []imagetest.Entry
	for i := range 10_000 {
		files = append(files, imagetest.File(fmt.Sprintf("usr/share/package-%d/file", i), "content"))
	}
	stream := imagetest.Tar(files...)
	for _, c := range []struct {
		name string
		read func(io.Reader) (int, error)
	}{
		{"layertar", func(r io.Reader) (n int, err error) {
			for t := layertar.NewReader(r); err == nil; n++ {
				_, err = t.Next()
			}
			return n - 1, err
		}},
		{"std", func(r io.Reader) (n int, err error) {
			for t := tar.NewReader(r); err == nil; n++ {
				_, err = t.Next()
			}
			return n - 1, err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := c.read(bytes.NewReader(stream)); err != io.EOF || n != len(files) {
					b.Fatal(n, err)
				}
			}
		})
	}
}
