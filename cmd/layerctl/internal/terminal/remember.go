// SPDX-License-Identifier: Apache-2.0

package terminal

import "io"

// Writer is a writer that remembers the first error of a write, for code that prints and
// ignores errors.
type Writer struct {
	to  io.Writer
	err error
}

// Remember returns a Writer to a writer.
func Remember(to io.Writer) *Writer { return &Writer{to: to} }

// Write implements io.Writer.
func (w *Writer) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// Err returns the first error.
func (w *Writer) Err() error { return w.err }

// Fd returns the descriptor of the writer, or an invalid one if it has none.
func (w *Writer) Fd() uintptr {
	if f, ok := w.to.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
