// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
)

// memory returns --max-memory, or the default for this machine, in bytes.
func memory(c *cli.Context) int64 {
	if n := Size(c, "max-memory"); n > 0 {
		return n
	}
	return host.Memory()
}

// pathMemory returns the part of the memory for the paths of an image's layers.
func pathMemory(c *cli.Context) int64 { return host.Paths(memory(c)) }

// limitMemory sets the limit of the garbage collector. Without --max-memory, GOMEMLIMIT
// in the environment overrules it.
func limitMemory(c *cli.Context) {
	if os.Getenv("GOMEMLIMIT") == "" || c.IsSet("max-memory") {
		host.LimitMemory(memory(c))
	}
}

// shares returns how the memory is divided among the layers that are fetched at a time.
func shares(c *cli.Context) host.Share { return host.Divide(memory(c), c.Int("jobs"), c.Int("ranges")) }
