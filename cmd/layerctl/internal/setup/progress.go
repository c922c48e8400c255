// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
)

// NewProgress makes what --progress and --quiet ask for.
func NewProgress(c *cli.Context) (progress.Display, error) {
	mode := c.String("progress")
	if c.Bool("quiet") {
		mode = "none"
	}
	show := progress.New(mode, c.App.ErrWriter)
	if show == nil {
		return nil, &args.UsageError{
			Problem: fmt.Sprintf("there is no --progress %q", mode),
			Advice:  "it is one of " + strings.Join(progress.Modes(), ", "),
		}
	}
	return show, nil
}
