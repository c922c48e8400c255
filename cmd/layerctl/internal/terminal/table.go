// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table aligns columns. Each cell is escaped.
type Table struct{ columns *tabwriter.Writer }

// NewTable returns a table that [Table.Flush] writes to w.
func NewTable(w io.Writer) *Table { return &Table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// Row adds a row of cells, which are printed as fmt.Print prints them.
func (t *Table) Row(cells ...any) {
	words := make([]string, len(cells))
	for i, c := range cells {
		words[i] = Escape(fmt.Sprint(c))
	}
	fmt.Fprintln(t.columns, strings.Join(words, "\t"))
}

// Flush writes the table.
func (t *Table) Flush() error { return t.columns.Flush() }

// Printf writes text of one line or several by [EscapeLines]. Escape an argument that
// may have line breaks.
func Printf(w io.Writer, format string, args ...any) error {
	_, err := io.WriteString(w, EscapeLines(fmt.Sprintf(format, args...)))
	return err
}
