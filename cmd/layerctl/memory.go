// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
	"github.com/urfave/cli/v2"
)

// memory is --max-memory, or what this machine gives.
func memory(c *cli.Context) int64 {
	if n := size(c, "max-memory"); n > 0 {
		return n
	}
	return host.Memory()
}

// limitMemory has the garbage collector keep below the limit. GOMEMLIMIT of
// the environment is an expert's word, and stands.
func limitMemory(c *cli.Context) {
	if os.Getenv("GOMEMLIMIT") == "" || c.IsSet("max-memory") {
		host.LimitMemory(memory(c))
	}
}

func shares(c *cli.Context) host.Share { return host.Divide(memory(c), c.Int("jobs"), c.Int("ranges")) }
