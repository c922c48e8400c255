// SPDX-License-Identifier: Apache-2.0

package terminal

import "io"

// Writer is a writer that remembers the first error of a write, for those who
// print and look at none.
type Writer struct {
	to  io.Writer
	err error
}

// Remember makes one.
func Remember(to io.Writer) *Writer { return &Writer{to: to} }

// Write implements io.Writer.
func (w *Writer) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// Err is the first error.
func (w *Writer) Err() error { return w.err }

// Fd is the descriptor of what is written to, or none.
func (w *Writer) Fd() uintptr {
	if f, ok := w.to.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
