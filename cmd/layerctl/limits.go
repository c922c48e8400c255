// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/unpack"
)

// limitFlags bound what one layer may cost. Their defaults are unpack's.
func limitFlags() []cli.Flag {
	return append(readFlags(),
		&cli.GenericFlag{Name: "reserve", Value: &args.Size{}, Usage: "keep `SIZE` of the disk free (default: 64MiB)"})
}

// readFlags are those that matter where nothing is written.
func readFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Int64Flag{Name: "max-entries", Usage: "refuse a layer of more than `N` tar entries (default: 5 million)"},
		&cli.IntFlag{Name: "max-depth", Usage: "refuse paths of more than `N` names (default: 1000)"},
		&cli.GenericFlag{Name: "max-size", Value: &args.Size{}, Usage: "refuse a layer of more than `SIZE` uncompressed (default: 256GiB)"},
		&cli.Int64Flag{Name: "max-ratio", Usage: "refuse a layer that grows more than `N` times, beyond 1 GiB (default: 200)"},
	}
}

func limits(c *cli.Context) unpack.Limits {
	return unpack.Limits{
		Entries: c.Int64("max-entries"),
		Depth:   c.Int("max-depth"),
		Bytes:   size(c, "max-size"),
		Ratio:   c.Int64("max-ratio"),
		Reserve: size(c, "reserve"),
	}
}

// size is the value of a flag in bytes, 0 where it was not given.
func size(c *cli.Context, name string) int64 {
	if f, ok := c.Generic(name).(*args.Size); ok {
		return f.Bytes
	}
	return 0
}
