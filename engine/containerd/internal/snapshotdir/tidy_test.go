// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"testing"

	"github.com/layerctl/layerctl/internal/mounts"
)

func TestIsBelow(t *testing.T) {
	for _, c := range []struct {
		lower, upper string
		want         bool
	}{
		{"/r/snapshots/3/fs", "", true},
		{"/other/snapshots/3/fs", "", false},
		{"3/fs", "/r/snapshots/9/fs", true},
		{"3/fs", "/other/snapshots/9/fs", false},
		{"3/fs", "", true},
	} {
		m := mounts.Entry{Type: mounts.OverlayType}
		if c.upper != "" {
			m.SuperOptions = []string{"upperdir=" + c.upper}
		}
		if got := isBelow("/r/snapshots", m, c.lower); got != c.want {
			t.Errorf("%s of a mount with %q above: %v", c.lower, c.upper, got)
		}
	}
}
