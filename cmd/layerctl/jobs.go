// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// jobsFlag is how many layers are worked on at a time.
func jobsFlag() cli.Flag {
	return &cli.IntFlag{Name: "jobs", Usage: "fetch and unpack `N` layers at a time (default: one a processor, two to four, fewer with little memory)"}
}

func checkJobs(c *cli.Context) error {
	if c.Int("jobs") < 0 {
		return &usageError{Problem: fmt.Sprintf("--jobs %d is not a number of layers", c.Int("jobs"))}
	}
	return nil
}
