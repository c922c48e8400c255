// SPDX-License-Identifier: Apache-2.0

package entryname

import (
	"fmt"
	"unicode/utf8"
)

// Quote makes a name from an image fit for a message: one line, no escapes
// that a terminal would take, no more than fits.
func Quote(name string) string {
	const most = 120
	if len(name) <= most {
		return fmt.Sprintf("%q", name)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return fmt.Sprintf("%q… (%d bytes)", name[:cut], len(name))
}
