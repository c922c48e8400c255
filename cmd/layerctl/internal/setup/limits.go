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

// LimitFlags bound what one layer may cost. Their defaults are unpack's.
func LimitFlags() []cli.Flag {
	return append(ReadFlags(),
		&cli.GenericFlag{Name: "reserve", Category: help.Limits, Value: &args.Size{}, DefaultText: "64MiB", Usage: "keep `SIZE` of the disk free"})
}

// ReadFlags are those that matter where nothing is written.
func ReadFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Int64Flag{Name: "max-entries", Category: help.Limits, DefaultText: "5 million", Usage: "refuse a layer of more than `N` tar entries"},
		&cli.IntFlag{Name: "max-depth", Category: help.Limits, DefaultText: "1000", Usage: "refuse paths of more than `N` names"},
		&cli.GenericFlag{Name: "max-size", Category: help.Limits, Value: &args.Size{}, DefaultText: "256GiB", Usage: "refuse a layer of more than `SIZE` uncompressed"},
		&cli.Int64Flag{Name: "max-ratio", Category: help.Limits, DefaultText: "200", Usage: "refuse a layer that grows more than `N` times, beyond 1 GiB"},
	}
}

// limits are what the limit flags say.
func limits(c *cli.Context) unpack.Limits {
	return unpack.Limits{
		Entries: c.Int64("max-entries"),
		Depth:   c.Int("max-depth"),
		Bytes:   Size(c, "max-size"),
		Ratio:   c.Int64("max-ratio"),
		Reserve: given(c, "reserve", Size(c, "reserve")),
	}
}

// given is the value of a flag for the library, whose own zero is a default and
// which takes less than zero for none.
func given(c *cli.Context, name string, value int64) int64 {
	if value == 0 && c.IsSet(name) {
		return -1
	}
	return value
}

// checkLimits refuses limits that let nothing through: they are mistakes, and
// the defaults are not what was asked for.
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

// Size is the value of a flag in bytes, 0 where it was not given.
func Size(c *cli.Context, name string) int64 {
	if f, ok := c.Generic(name).(*args.Size); ok {
		return f.Bytes
	}
	return 0
}

// Span is the value of a flag in time.
func Span(c *cli.Context, name string) time.Duration {
	if f, ok := c.Generic(name).(*args.Span); ok {
		return f.Duration
	}
	return 0
}

// Reserve is what stays free on the store's disk, in bytes.
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
