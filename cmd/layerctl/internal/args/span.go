// SPDX-License-Identifier: Apache-2.0

package args

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// parseSpan parses a length of time: 90s, 1h30m, 36h, 7d, 2w, 1w2d.
func parseSpan(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no time such as 30s, 36h, 7d or 2w", s)
	rest, sum := s, time.Duration(0)
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", week}, {"d", day}} {
		number, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		// Ten years are more than anything waits or keeps.
		if err != nil || !(n >= 0) || n*float64(unit.length) > float64(520*week) {
			return 0, bad
		}
		sum += time.Duration(n * float64(unit.length))
		rest = after
	}
	if rest == "" && sum > 0 || rest == "" && rest != s {
		return sum, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || sum > 0 && d < 0 {
		return 0, bad
	}
	return sum + d, nil
}

// Span is the value of a flag, a length of time. The zero value is for a flag that is
// not given.
type Span struct {
	text string
	time.Duration
}

// NewSpan returns a span with a default.
func NewSpan(d time.Duration) *Span { return &Span{Duration: d} }

// Set implements flag.Value.
func (f *Span) Set(s string) (err error) {
	f.Duration, err = parseSpan(s)
	f.text = s
	return err
}

// String implements flag.Value.
func (f *Span) String() string { return f.text }
