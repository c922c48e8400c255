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

// WriteJSON writes v as one indented JSON document. It escapes everything that is not
// printable, also to a pipe, because programs behind a pipe often print what they read.
func WriteJSON(w io.Writer, v any) error { return encode(w, v, "  ") }

// WriteJSONLine writes v as one JSON document in one line; see [WriteJSON].
func WriteJSONLine(w io.Writer, v any) error { return encode(w, v, "") }

func encode(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(jsonWriter{w})
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}

// jsonWriter escapes documents. [json.Encoder] writes each with one call.
type jsonWriter struct{ w io.Writer }

// Write implements io.Writer.
func (w jsonWriter) Write(document []byte) (int, error) {
	if _, err := w.w.Write(EscapeJSON(document)); err != nil {
		return 0, err
	}
	return len(document), nil
}

// WriteDocument writes JSON that comes from outside. It writes the exact bytes, except
// to a terminal: there it escapes everything that is not printable.
func WriteDocument(w io.Writer, document []byte) error {
	if Is(w) {
		document = EscapeJSON(document)
	}
	_, err := w.Write(document)
	return err
}

// EscapeJSON returns the same document with \u escapes for everything that is not
// printable, except line breaks and tabs: C1 controls, bidi marks, line separators and
// so on. In JSON such characters can only be in strings. Bytes that are no UTF-8 become
// \ufffd.
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

// isPlain reports whether a document has only printable ASCII, line breaks and tabs.
func isPlain(document []byte) bool {
	for _, c := range document {
		if (c < ' ' && c != '\n' && c != '\t') || c > '~' {
			return false
		}
	}
	return true
}
