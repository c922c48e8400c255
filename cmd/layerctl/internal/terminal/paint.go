// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Is reports whether w writes to a terminal.
func Is(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// Painter colours text if it is true. The terminal's palette decides which colours are
// shown.
type Painter bool

// NewPainter returns a painter that colours if w is a terminal with colours, unless
// NO_COLOR is set (https://no-color.org).
func NewPainter(w io.Writer) Painter {
	return Painter(Is(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func (p Painter) paint(codes, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + codes + "m" + text + "\x1b[0m"
}

// Bold paints text bold, for headings.
func (p Painter) Bold(text string) string { return p.paint("1", text) }

// Dim paints text dim, for text that matters less.
func (p Painter) Dim(text string) string { return p.paint("2", text) }

// Red paints text in the terminal's red.
func (p Painter) Red(text string) string { return p.paint("1;31", text) }

// Green paints text in the terminal's green.
func (p Painter) Green(text string) string { return p.paint("1;32", text) }

// Yellow paints text in the terminal's yellow.
func (p Painter) Yellow(text string) string { return p.paint("1;33", text) }

// Blue paints text in the terminal's blue.
func (p Painter) Blue(text string) string { return p.paint("1;34", text) }
