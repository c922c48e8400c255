// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Wrap escapes text and breaks it into lines of at most columns characters, at blanks if
// it can.
func Wrap(text string, columns int) []string { return wrap(Escape(text), columns, math.MaxInt) }

// WrapLines is [Wrap] for at most most lines, and "…" if there are more. It takes no
// more time for a longer text.
func WrapLines(text string, columns, most int) []string {
	// A line has at most columns characters, and a blank at which it was broken.
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

// Clip escapes text and cuts it to columns characters, of which the last is "…" then.
func Clip(text string, columns int) string {
	text = Escape(text)
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	return text[:ByteIndex(text, columns-1)] + "…"
}

// ByteIndex returns the index in bytes at which character n begins, counted from 0, or
// the length of text.
func ByteIndex(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}
