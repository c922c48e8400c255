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

// NewTable is a table on w.
func NewTable(w io.Writer) *Table { return &Table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// Row adds a row of cells, of anything that prints.
func (t *Table) Row(cells ...any) {
	words := make([]string, len(cells))
	for i, c := range cells {
		words[i] = Escape(fmt.Sprint(c))
	}
	fmt.Fprintln(t.columns, strings.Join(words, "\t"))
}

// Flush writes the table.
func (t *Table) Flush() error { return t.columns.Flush() }

// Printf writes text of one line or several, with what is put into it escaped.
func Printf(w io.Writer, format string, args ...any) error {
	_, err := io.WriteString(w, EscapeLines(fmt.Sprintf(format, args...)))
	return err
}
