// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 3_430_122: "3.4 MB", 2e12: "2.0 TB"} {
		if got := terminal.Bytes(n); got != want {
			t.Errorf("terminal.Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
