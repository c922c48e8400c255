// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
)

// JobsFlag returns the flag --jobs.
func JobsFlag() cli.Flag {
	return &cli.IntFlag{Name: "jobs", DefaultText: "one a processor, two to four, fewer with little memory", Usage: "fetch and unpack `N` layers at a time"}
}

// AnyPlatformFlag returns the flag --any-platform, for images without an index.
func AnyPlatformFlag() cli.Flag {
	return &cli.BoolFlag{Name: "any-platform", Usage: "take a single image though it is for another machine"}
}

// CheckJobs checks the values of --jobs and of the limit flags.
func CheckJobs(c *cli.Context) error {
	if n := c.Int("jobs"); n < 0 || n == 0 && c.IsSet("jobs") {
		return &args.UsageError{Problem: fmt.Sprintf("--jobs %d is not a number to work with", n), Advice: "1 is the least"}
	}
	return checkLimits(c)
}
