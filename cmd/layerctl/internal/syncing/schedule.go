// SPDX-License-Identifier: Apache-2.0

package syncing

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/window"
)

// newSchedule returns when the command runs, by --repeat, --window and --splay.
func newSchedule(c *cli.Context) (window.Schedule, error) {
	s := window.Schedule{Repeat: setup.Span(c, "repeat")}
	most := setup.Span(c, "splay")
	if most < 0 || s.Repeat < 0 {
		return s, &args.UsageError{Problem: "--splay and --repeat are times to wait"}
	}
	if !c.Bool("quiet") {
		s.Say = terminal.NewConsole(c.App.ErrWriter).Say
	}
	if text := c.String("window"); text != "" {
		w, err := window.Parse(text)
		if err != nil {
			return s, &args.UsageError{Problem: "--window " + err.Error()}
		}
		s.Window = w
	}
	if most > 0 {
		id, err := window.MachineID()
		if err != nil {
			return s, fmt.Errorf("tell this machine from others: %w", err)
		}
		s.Splay = window.Splay(id, most)
	}
	return s, nil
}
