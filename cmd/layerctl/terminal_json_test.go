// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

func TestEscapeJSON(t *testing.T) {
	for in, want := range map[string]string{
		"{\n\t\"a\": \"ü\"}":            "{\n\t\"a\": \"ü\"}",
		"\"\u202e\u009b\x7f\"":          `"\u202e\u009b\u007f"`,
		"\"\U000e0001\"":                `"\udb40\udc01"`,
		"\"\xff\"":                      `"\ufffd"`,
		"\"\ufffd\"":                    "\"\ufffd\"",
		"{\"a\":1}\r\n":                 "{\"a\":1}\\u000d\n",
		"\"" + "\x1b[2J" + "\" is none": `"\u001b[2J" is none`,
	} {
		if got := string(terminal.EscapeJSON([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
