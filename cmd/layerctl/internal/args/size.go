// SPDX-License-Identifier: Apache-2.0

package args

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseSize parses a number of bytes: 1000000, 500k, 20M, 1.5G in powers of 1000, or
// 512Ki, 64MiB in powers of 1024.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	factor, known := sizeUnit(strings.ToLower(strings.TrimSpace(s[len(digits):])))
	value, err := strconv.ParseFloat(digits, 64)
	// MaxInt64 is no float64: it is rounded up, to a number that does not fit.
	if err != nil || !known || !(value >= 0) || value*factor >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no size such as 500k, 20M or 64MiB", s)
	}
	return int64(value * factor), nil
}

func sizeUnit(name string) (factor float64, known bool) {
	name = strings.TrimSuffix(name, "b")
	base := 1000.0
	if binary, ok := strings.CutSuffix(name, "i"); ok {
		name, base = binary, 1024
	}
	if name == "" {
		return 1, base == 1000
	}
	power := strings.Index("kmgt", name)
	return math.Pow(base, float64(power+1)), power >= 0 && len(name) == 1
}

// Size is the value of a flag in bytes. The zero value is for a flag that is not given.
type Size struct {
	text  string
	Bytes int64
}

// Set implements flag.Value.
func (f *Size) Set(s string) (err error) {
	f.Bytes, err = parseSize(s)
	f.text = s
	return err
}

// String implements flag.Value.
func (f *Size) String() string { return f.text }
