// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Wrap makes text from anywhere printable and breaks it into lines of at most
// so many columns, at blanks where it can.
func Wrap(text string, columns int) []string { return wrap(Escape(text), columns, math.MaxInt) }

// WrapLines is Wrap for at most so many lines; what is left out is an "…". It
// takes time for what it shows only, however long the text is.
func WrapLines(text string, columns, most int) []string {
	// A line takes a blank more than its columns at most.
	return wrap(Escape(text[:ByteIndex(text, most*(columns+1)+1)]), columns, most)
}

func wrap(text string, columns, most int) []string {
	var lines []string
	for len(lines) < most {
		end := ByteIndex(text, columns)
		if end == len(text) {
			return append(lines, text)
		}
		next := end
		if blank := strings.LastIndexByte(text[:end+1], ' '); blank > 0 {
			end, next = blank, blank+1
		}
		lines = append(lines, text[:end])
		text = text[next:]
	}
	return append(lines, "…")
}

// Clip makes text printable and cuts it.
func Clip(text string, columns int) string {
	text = Escape(text)
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	return text[:ByteIndex(text, columns-1)] + "…"
}

// ByteIndex is where the nth character begins.
func ByteIndex(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}
