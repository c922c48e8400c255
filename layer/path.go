// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Path is a relative path in a layer, byte for byte. In JSON, '%' and bytes that are
// not valid UTF-8 are written as %XX.
type Path string

// MarshalText implements encoding.TextMarshaler.
func (p Path) MarshalText() ([]byte, error) {
	s := string(p)
	if utf8.ValidString(s) && !strings.Contains(s, "%") {
		return []byte(s), nil
	}
	var out []byte
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if (r == utf8.RuneError && n == 1) || r == '%' {
			out = fmt.Appendf(out, "%%%02X", s[0])
		} else {
			out = append(out, s[:n]...)
		}
		s = s[n:]
	}
	return out, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Path) UnmarshalText(text []byte) error {
	var out []byte
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out = append(out, text[i])
			continue
		}
		if i+2 >= len(text) {
			return fmt.Errorf("path %q ends inside an escape", text)
		}
		b, err := strconv.ParseUint(string(text[i+1:i+3]), 16, 8)
		if err != nil {
			return fmt.Errorf("path %q: %w", text, err)
		}
		out = append(out, byte(b))
		i += 2
	}
	*p = Path(out)
	return nil
}
