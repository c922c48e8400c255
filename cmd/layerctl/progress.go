// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/urfave/cli/v2"
)

// newProgress makes what --progress and --quiet ask for.
func newProgress(c *cli.Context) (progress.Display, error) {
	mode := c.String("progress")
	if c.Bool("quiet") {
		mode = "none"
	}
	show := progress.New(mode, c.App.ErrWriter)
	if show == nil {
		return nil, &usageError{
			Problem: fmt.Sprintf("there is no --progress %q", mode),
			Advice:  "it is one of " + strings.Join(progress.Modes(), ", "),
		}
	}
	return show, nil
}
