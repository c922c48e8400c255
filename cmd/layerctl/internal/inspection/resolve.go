// SPDX-License-Identifier: Apache-2.0

package inspection

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
)

// ResolveCommand returns the command resolve.
func ResolveCommand() *cli.Command {
	return &cli.Command{
		Name:      "resolve",
		Usage:     "print the digest-pinned reference that is chosen for this machine",
		ArgsUsage: "REF",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "explain", Usage: "print every candidate and why, and the machine's facts"},
			&cli.BoolFlag{Name: "check", Usage: "compare the index with the image's config"},
		},
		Action: runResolve,
	}
}

func runResolve(c *cli.Context) error {
	refs, err := setup.Arguments(c, 1, 1, "one REF")
	if err != nil {
		return err
	}
	found, err := quietly(c, refs[0], inspect.Options{Chosen: c.Bool("check") || c.Bool("strict")})
	if err != nil {
		return err
	}
	e, err := show.NewExplanation(found)
	if err != nil {
		return err
	}
	refusal := found.Refusal()
	if refusal == nil && !c.Bool("quiet") {
		for _, w := range found.Warnings {
			terminal.NewConsole(c.App.ErrWriter).Warn("%s", w)
		}
	}
	switch {
	case c.Bool("json"):
		err = e.JSON(c.App.Writer)
	case c.Bool("explain"):
		err = e.Text(c.App.Writer)
	case refusal == nil:
		err = terminal.Printf(c.App.Writer, "%s\n", e.Pinned)
	}
	if refusal != nil {
		return fmt.Errorf("resolve %s: %w", refs[0], refusal)
	}
	return err
}
