// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"strings"
	"testing"
)

func TestWhoMayHaveLayersAsTars(t *testing.T) {
	for _, c := range []struct {
		release string
		root    bool
		said    string // "" where they may
	}{
		{"6.18.44", true, ""},
		{"6.4.0-rc1", true, ""},
		{"7.0.0", true, ""},
		{"custom", true, ""},
		{"6.3.13", true, "take Linux 6.4, and this is 6.3.13"},
		{"6.1.0-13-amd64", true, "take Linux 6.4, and this is 6.1.0-13-amd64"},
		{"5.15.0-1-raspi", true, "or the program erofsfuse"},
		{"6.18.44", false, "are for root"},
		{"6.1.0", false, "are for root"},
	} {
		err := tarsOn(c.release, c.root)
		switch {
		case c.said == "" && err != nil:
			t.Errorf("%s: %v", c.release, err)
		case c.said != "" && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.said)):
			t.Errorf("%s, root %t: %v, want %q", c.release, c.root, err, c.said)
		}
	}
}
