// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestSource(t *testing.T) {
	manifest := digest.FromString("m")
	id := manifest.Encoded()[:12]
	for _, c := range []struct{ name, want string }{
		{"", "layerctl:" + id},
		{"docker.io/library/alpine:3.20", "layerctl:docker.io/library/alpine:3.20@" + id},
		{"a b,c\n\x1b[31m\"'\\é\xff", "layerctl:a_b_c___31m_____@" + id},
	} {
		if got := Source(c.name, manifest); got != c.want {
			t.Errorf("%q: %q, want %q", c.name, got, c.want)
		}
	}
	if n := len(Source(strings.Repeat("x", 1000), manifest)); n > 255 {
		t.Errorf("a long name makes a source of %d bytes", n)
	}
}
