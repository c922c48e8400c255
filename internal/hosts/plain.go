// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/BurntSushi/toml"
)

// keyName is a key that may be repeated; others, as a URL, may hold a password.
var keyName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9_.-]{1,100}$`)
})

// plain keeps of a decoder's error only where it is: the rest repeats lines of
// a file that may hold passwords.
func plain(err error) error {
	var p toml.ParseError
	if !errors.As(err, &p) {
		return errors.New("a value has another type than it must")
	}
	if keyName().MatchString(p.LastKey) {
		return fmt.Errorf("line %d: %s has no value that fits here", p.Position.Line, p.LastKey)
	}
	return fmt.Errorf("line %d is no TOML that fits here", p.Position.Line)
}
