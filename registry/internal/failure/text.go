// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"fmt"
	"strings"
)

// maxText bounds what an error repeats of what others say: one line.
const maxText = 300

// OneLine escapes what a terminal would act on and cuts what is long.
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

// Digits says whether s is a decimal number without a sign.
func Digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
