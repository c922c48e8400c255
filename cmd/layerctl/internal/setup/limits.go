// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/help"
	"github.com/layerctl/layerctl/unpack"
)

// LimitFlags returns the flags that limit a layer, for a command that writes. Their
// defaults are those of package unpack.
func LimitFlags() []cli.Flag {
	return append(ReadFlags(),
		&cli.GenericFlag{Name: "reserve", Category: help.Limits, Value: &args.Size{}, DefaultText: "64MiB", Usage: "keep `SIZE` of the disk free"})
}

// ReadFlags returns the limit flags for a command that writes nothing.
func ReadFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Int64Flag{Name: "max-entries", Category: help.Limits, DefaultText: "5 million", Usage: "refuse a layer of more than `N` tar entries"},
		&cli.IntFlag{Name: "max-depth", Category: help.Limits, DefaultText: "1000", Usage: "refuse paths of more than `N` names"},
		&cli.GenericFlag{Name: "max-size", Category: help.Limits, Value: &args.Size{}, DefaultText: "256GiB", Usage: "refuse a layer of more than `SIZE` uncompressed"},
		&cli.Int64Flag{Name: "max-ratio", Category: help.Limits, DefaultText: "200", Usage: "refuse a layer that grows more than `N` times, beyond 1 GiB"},
	}
}

// limits returns the limits of a layer, by the limit flags.
func limits(c *cli.Context) unpack.Limits {
	return unpack.Limits{
		Entries: c.Int64("max-entries"),
		Depth:   c.Int("max-depth"),
		Bytes:   Size(c, "max-size"),
		Ratio:   c.Int64("max-ratio"),
		Reserve: given(c, "reserve", Size(c, "reserve")),
	}
}

// given returns the value of a flag for the library, in which zero means a default and a
// negative number means none.
func given(c *cli.Context, name string, value int64) int64 {
	if value == 0 && c.IsSet(name) {
		return -1
	}
	return value
}

// checkLimits fails for a limit of zero, which would let no layer through. The library
// would take zero for its default.
func checkLimits(c *cli.Context) error {
	zero := map[string]bool{
		"max-entries": c.Int64("max-entries") == 0,
		"max-depth":   c.Int("max-depth") == 0,
		"max-size":    Size(c, "max-size") == 0,
		"max-ratio":   c.Int64("max-ratio") == 0,
	}
	for _, name := range slices.Sorted(maps.Keys(zero)) {
		if zero[name] && c.IsSet(name) {
			return &args.UsageError{Problem: fmt.Sprintf("--%s 0 lets no layer through", name), Advice: "leave it out for the default"}
		}
	}
	return nil
}

// Size returns the value of a flag in bytes, 0 if it was not given.
func Size(c *cli.Context, name string) int64 {
	if f, ok := c.Generic(name).(*args.Size); ok {
		return f.Bytes
	}
	return 0
}

// Span returns the value of a flag that is a length of time.
func Span(c *cli.Context, name string) time.Duration {
	if f, ok := c.Generic(name).(*args.Span); ok {
		return f.Duration
	}
	return 0
}

// Reserve returns how many bytes stay free on the store's disk.
func Reserve(c *cli.Context) uint64 {
	const usual = 64 << 20 // as the library has it
	switch n := limits(c).Reserve; {
	case n < 0:
		return 0
	case n == 0:
		return usual
	default:
		return uint64(n)
	}
}
