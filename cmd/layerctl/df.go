// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
)

func dfCommand() *cli.Command {
	return &cli.Command{
		Name:  "df",
		Usage: "tell what the images take on the disk",
		Description: `SIZE is what all layers of an image take, SHARED what of it other images use
too, OWN what its removal frees, and USED when it was last pulled or mounted.
An image without a reference has '-' for one. 'reclaimable' is what a prune
would free. All are bytes of file contents: directories, links and what the
filesystem rounds up come on top.`,
		Action: runDF,
	}
}

func runDF(c *cli.Context) (err error) {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	usage, err := store.Usage()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return show.UsageJSON(c.App.Writer, usage)
	}
	return show.Usage(c.App.Writer, usage, time.Now())
}
