// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
)

// JobsFlag is how many layers are worked on at a time.
func JobsFlag() cli.Flag {
	return &cli.IntFlag{Name: "jobs", Usage: "fetch and unpack `N` layers at a time (default: one a processor, two to four, fewer with little memory)"}
}

// CheckJobs refuses a --jobs that makes no sense.
func CheckJobs(c *cli.Context) error {
	if c.Int("jobs") < 0 {
		return &args.UsageError{Problem: fmt.Sprintf("--jobs %d is not a number of layers", c.Int("jobs"))}
	}
	return nil
}
