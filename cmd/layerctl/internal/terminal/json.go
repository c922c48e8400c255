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

// WriteJSON writes v as one indented JSON document. What is not printable in it
// is escaped, to a pipe too, for what reads a pipe often shows it.
func WriteJSON(w io.Writer, v any) error { return encode(w, v, "  ") }

// WriteJSONLine is WriteJSON for a document on a line of its own.
func WriteJSONLine(w io.Writer, v any) error { return encode(w, v, "") }

func encode(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(jsonWriter{w})
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}

// jsonWriter escapes whole documents, one a call, as [json.Encoder] writes them.
type jsonWriter struct{ w io.Writer }

// Write implements io.Writer.
func (w jsonWriter) Write(document []byte) (int, error) {
	if _, err := w.w.Write(EscapeJSON(document)); err != nil {
		return 0, err
	}
	return len(document), nil
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
// breaks and tabs, written as \u escapes: C1 controls, bidi marks, line
// separators and so on. In JSON such characters can only stand in strings.
// Bytes that are no UTF-8 become \ufffd.
func EscapeJSON(document []byte) []byte {
	if isPlain(document) {
		return document
	}
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

// isPlain says whether a document has only what every terminal prints.
func isPlain(document []byte) bool {
	for _, c := range document {
		if (c < ' ' && c != '\n' && c != '\t') || c > '~' {
			return false
		}
	}
	return true
}
