// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseContentRange(t *testing.T) {
	for in, want := range map[string]string{
		"bytes 0-0/1": "0 0 1", "BYTES 5-9/10": "5 9 10",
		"": "", "bytes 5-9/*": "", "bytes */10": "", "bytes 9-5/10": "", "bytes 5-10/10": "", "bytes 5-9/10 ": "",
		"bytes -5-9/10": "", "bytes +5-9/10": "", "bytes 5-9": "", "items 5-9/10": "", "bytes 0-9/99999999999999999999": "",
	} {
		got := ""
		if first, last, total, err := parseContentRange(in); err == nil {
			got = fmt.Sprint(first, last, total)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	f.Add("bytes 5-9/10")
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, err := parseContentRange(s)
		if err == nil && (first < 0 || last < first || total <= last || strings.Contains(s, "*")) {
			t.Errorf("%q: got %d-%d/%d", s, first, last, total)
		}
	})
}
