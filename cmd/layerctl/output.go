// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// noArguments refuses arguments where a command takes none.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return &usageError{Problem: fmt.Sprintf("%s takes no argument, and got %q", c.Command.Name, c.Args().First())}
	}
	return nil
}

// arguments checks how many there are; most < 0 means any number.
func arguments(c *cli.Context, least, most int, names string) ([]string, error) {
	n := c.Args().Len()
	if n >= least && (most < 0 || n <= most) {
		return c.Args().Slice(), nil
	}
	return nil, &usageError{
		Problem: fmt.Sprintf("%s takes %s, and got %d arguments", c.Command.Name, names, n),
		Advice:  fmt.Sprintf("'layerctl %s --help' tells how it is used", c.Command.Name),
	}
}
