// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/internal/words"
)

// NewProgress makes the display that --progress and --quiet ask for. If it draws on
// standard error, lines for standard error are written through it from then on.
func NewProgress(c *cli.Context) (progress.Display, error) {
	mode := c.String("progress")
	if c.Bool("quiet") {
		mode = "none"
	}
	show := progress.New(mode, c.App.ErrWriter)
	if show == nil {
		return nil, &args.UsageError{
			Problem: fmt.Sprintf("there is no --progress %q", mode),
			Advice:  "it is one of " + words.Or(progress.Modes()),
		}
	}
	if above, ok := show.(io.Writer); ok {
		c.App.ErrWriter = above
	}
	return show, nil
}

// Retrying shows pauses between tries on the display.
func Retrying(show progress.Display) Option {
	return func(o *layerctl.Options) { o.Registry.OnRetry = show.Retry }
}
