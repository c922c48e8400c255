// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
)

// memory is --max-memory, or what this machine gives.
func memory(c *cli.Context) int64 {
	if n := Size(c, "max-memory"); n > 0 {
		return n
	}
	return host.Memory()
}

// pathMemory is the part that the paths of an image's layers may take.
func pathMemory(c *cli.Context) int64 { return host.Paths(memory(c)) }

// limitMemory has the garbage collector keep below the limit. GOMEMLIMIT of
// the environment is an expert's word, and stands.
func limitMemory(c *cli.Context) {
	if os.Getenv("GOMEMLIMIT") == "" || c.IsSet("max-memory") {
		host.LimitMemory(memory(c))
	}
}

// shares is how the memory is divided among what is fetched at a time.
func shares(c *cli.Context) host.Share { return host.Divide(memory(c), c.Int("jobs"), c.Int("ranges")) }
