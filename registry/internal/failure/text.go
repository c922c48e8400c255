// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"fmt"
	"strings"
)

// maxText bounds the bytes that an error repeats of a foreign text.
const maxText = 300

// OneLine makes a foreign text safe for an error and a terminal: it escapes whatever
// is no printable ASCII, as Go's strings do, and cuts the text at 300 bytes, with "…"
// for the rest.
func OneLine(s string) string {
	cut := len(s) > maxText
	s = s[:min(len(s), maxText)]
	s = fmt.Sprintf("%+q", s)
	s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	if cut {
		s += "…"
	}
	return s
}

// Digits reports whether s is a decimal number without a sign.
func Digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
