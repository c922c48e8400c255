// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/platform"
)

// NoArguments fails if there are arguments, for a command that takes none.
func NoArguments(c *cli.Context) error {
	if c.Args().Present() {
		return &args.UsageError{Problem: fmt.Sprintf("%s takes no argument, and got %q", c.Command.Name, c.Args().First())}
	}
	return nil
}

// Arguments returns the arguments, and fails if there are fewer than least or more than
// most; most < 0 means any number. names says in the error what the command takes.
func Arguments(c *cli.Context, least, most int, names string) ([]string, error) {
	n := c.Args().Len()
	if n >= least && (most < 0 || n <= most) {
		return c.Args().Slice(), nil
	}
	return nil, &args.UsageError{
		Problem: fmt.Sprintf("%s takes %s, and got %d arguments", c.Command.Name, names, n),
		Advice:  fmt.Sprintf("'layerctl %s --help' tells how it is used", c.Command.Name),
	}
}

// Wanted returns the platform that images are chosen for, by the global flags.
func Wanted(c *cli.Context) (platform.Wanted, error) {
	if spec := c.String("platform"); spec != "" {
		return platform.ParseWanted(spec)
	}
	return platform.Detect(platform.Inputs{Userland: platform.Userland(c.String("userland"))}).Wanted(), nil
}
