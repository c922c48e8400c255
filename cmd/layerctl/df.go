// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
)

func dfCommand() *cli.Command {
	return &cli.Command{
		Name:   "df",
		Usage:  "tell what the images take on the disk",
		Action: runDF,
	}
}

func runDF(c *cli.Context) (err error) {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	store, err := setup.OpenToCount(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	usage, err := store.Usage(c.Context)
	if err != nil {
		return err
	}
	held, err := engines.Holdings(store)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return show.UsageJSON(c.App.Writer, usage, held)
	}
	return show.Usage(c.App.Writer, usage, held, time.Now())
}
