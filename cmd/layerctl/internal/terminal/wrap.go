// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"strings"
	"unicode/utf8"
)

// Wrap makes text from anywhere printable and breaks it into lines of at most
// so many columns, at blanks where it can.
func Wrap(text string, columns int) []string {
	text = Escape(text)
	var lines []string
	for utf8.RuneCountInString(text) > columns {
		end := ByteIndex(text, columns)
		if blank := strings.LastIndexByte(text[:end+1], ' '); blank > 0 {
			lines = append(lines, text[:blank])
			text = text[blank+1:]
			continue
		}
		lines = append(lines, text[:end])
		text = text[end:]
	}
	return append(lines, text)
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
