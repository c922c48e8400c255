// SPDX-License-Identifier: Apache-2.0

package inspection

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/platform"
)

// PlatformsCommand returns the command platforms.
func PlatformsCommand() *cli.Command {
	return &cli.Command{
		Name:      "platforms",
		Usage:     "list what an image runs on, one os/arch[/variant] a line",
		ArgsUsage: "REF",
		Action:    runPlatforms,
	}
}

func runPlatforms(c *cli.Context) error {
	refs, err := setup.Arguments(c, 1, 1, "one REF")
	if err != nil {
		return err
	}
	found, err := quietly(c, refs[0], inspect.Options{Detail: inspect.Platforms})
	if err != nil {
		return err
	}
	if err := found.Refusal(); err != nil && !errors.Is(err, platform.ErrNoMatch) {
		return fmt.Errorf("platforms %s: %w", refs[0], err)
	}
	if c.Bool("json") {
		return show.PlatformsJSON(c.App.Writer, found.Manifests)
	}
	return show.Platforms(c.App.Writer, found.Manifests)
}
