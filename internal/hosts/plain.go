// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"errors"
	"fmt"

	"github.com/BurntSushi/toml"
)

// plain keeps of a decoder's error only where it is: the rest repeats lines of
// a file that may hold passwords.
func plain(err error) error {
	var p toml.ParseError
	if errors.As(err, &p) {
		return fmt.Errorf("line %d is no TOML that fits here", p.Position.Line)
	}
	return errors.New("a value has another type than it must")
}
