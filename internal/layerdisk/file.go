// SPDX-License-Identifier: Apache-2.0

package layerdisk

import "io"

// File is an open file of a disk.
type File struct {
	Disk Disk
	FD   int
}

// Write implements io.Writer.
func (f File) Write(b []byte) (int, error) { return len(b), f.Disk.Write(f.FD, b) }

// WriteHole has n zeros follow what was written to w: as a hole in a [File], and
// as zeros to any other writer.
func WriteHole(w io.Writer, n int64) error {
	if f, ok := w.(File); ok {
		return f.Disk.WriteHole(f.FD, n)
	}
	zeros := make([]byte, min(n, 64<<10))
	for n > 0 {
		m, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}
