// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// WriteJSON writes v as one indented JSON document.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// WriteDocument writes JSON that comes from outside: as it is, unless it goes
// to a terminal, which might act on what is in it.
func WriteDocument(w io.Writer, document []byte) error {
	if Is(w) {
		document = EscapeJSON(document)
	}
	_, err := w.Write(document)
	return err
}

// EscapeJSON is the same document with all that is not printable, save line
// breaks and tabs, written as \u escapes. In JSON such characters can only
// stand in strings. Bytes that are no UTF-8 become \ufffd.
func EscapeJSON(document []byte) []byte {
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
