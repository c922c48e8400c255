// SPDX-License-Identifier: Apache-2.0

package unpack

import "io"

// writeHole has n zeros follow what was written to w: as a hole on a disk, and
// as zeros to any other writer.
func writeHole(w io.Writer, n int64) error {
	if d, ok := w.(descriptor); ok {
		return d.writeHole(n)
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
