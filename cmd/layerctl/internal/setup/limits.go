// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/unpack"
)

// LimitFlags bound what one layer may cost. Their defaults are unpack's.
func LimitFlags() []cli.Flag {
	return append(ReadFlags(),
		&cli.GenericFlag{Name: "reserve", Value: &args.Size{}, Usage: "keep `SIZE` of the disk free (default: 64MiB)"})
}

// ReadFlags are those that matter where nothing is written.
func ReadFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Int64Flag{Name: "max-entries", Usage: "refuse a layer of more than `N` tar entries (default: 5 million)"},
		&cli.IntFlag{Name: "max-depth", Usage: "refuse paths of more than `N` names (default: 1000)"},
		&cli.GenericFlag{Name: "max-size", Value: &args.Size{}, Usage: "refuse a layer of more than `SIZE` uncompressed (default: 256GiB)"},
		&cli.Int64Flag{Name: "max-ratio", Usage: "refuse a layer that grows more than `N` times, beyond 1 GiB (default: 200)"},
	}
}

// Limits are what the limit flags say.
func Limits(c *cli.Context) unpack.Limits {
	return unpack.Limits{
		Entries: c.Int64("max-entries"),
		Depth:   c.Int("max-depth"),
		Bytes:   Size(c, "max-size"),
		Ratio:   c.Int64("max-ratio"),
		Reserve: Size(c, "reserve"),
	}
}

// Size is the value of a flag in bytes, 0 where it was not given.
func Size(c *cli.Context, name string) int64 {
	if f, ok := c.Generic(name).(*args.Size); ok {
		return f.Bytes
	}
	return 0
}
