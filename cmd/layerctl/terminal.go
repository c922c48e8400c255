// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// printDocument writes JSON that comes from outside: as it is, unless it goes
// to a terminal, which might act on what is in it.
func printDocument(w io.Writer, document []byte) error {
	if isTerminal(w) {
		document = printableJSON(document)
	}
	_, err := w.Write(document)
	return err
}

// printableJSON is the same document with all that is not printable, save line
// breaks and tabs, written as \u escapes. In JSON such characters can only
// stand in strings. Bytes that are no UTF-8 become \ufffd.
func printableJSON(document []byte) []byte {
	var b strings.Builder
	for len(document) > 0 {
		r, size := utf8.DecodeRune(document)
		bad := r == utf8.RuneError && size == 1
		switch {
		case !bad && (r == '\n' || r == '\t' || !unprintable(r)):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		document = document[size:]
	}
	return []byte(b.String())
}

// printableLines is printable for text of several lines.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		words := strings.Split(l, "\t")
		for j, w := range words {
			words[j] = printable(w)
		}
		lines[i] = strings.Join(words, "\t")
	}
	return strings.Join(lines, "\n")
}

// painter colours text, or does not; the terminal's own palette decides how
// it looks.
type painter bool

// newPainter colours on a terminal that can, unless the user asked for none
// (https://no-color.org).
func newPainter(w io.Writer) painter {
	return painter(isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func (p painter) paint(codes, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + codes + "m" + text + "\x1b[0m"
}

func (p painter) bold(text string) string   { return p.paint("1", text) }
func (p painter) dim(text string) string    { return p.paint("2", text) }
func (p painter) red(text string) string    { return p.paint("1;31", text) }
func (p painter) green(text string) string  { return p.paint("1;32", text) }
func (p painter) yellow(text string) string { return p.paint("1;33", text) }
func (p painter) blue(text string) string   { return p.paint("1;34", text) }
