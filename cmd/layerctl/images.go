// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/inspection"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/trusted"
)

func imagesCommand() *cli.Command {
	return &cli.Command{
		Name:   "images",
		Usage:  "list the images in the store",
		Flags:  []cli.Flag{&cli.StringFlag{Name: "format", Usage: "print each image by a Go `TEMPLATE`, such as '{{.manifest}} {{json .references}}'"}},
		Action: runImages,
	}
}

func runImages(c *cli.Context) (err error) {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	images, err := store.Images()
	if err != nil {
		return err
	}
	held, err := engines.Holdings(store)
	if err != nil {
		return err
	}
	trust, err := trusted.List(store.Dir())
	if err != nil {
		return err
	}
	list := []show.Listed{}
	for _, i := range images {
		list = append(list, show.NewListed(i, held[i.Manifest], trust))
	}
	for _, r := range engines.HandedOver(held, images) {
		list = append(list, show.NewHandedOver(r))
	}
	switch {
	case c.String("format") != "":
		return formatImages(c, list)
	case c.Bool("json"):
		return terminal.WriteJSON(c.App.Writer, list)
	}
	return show.Images(c.App.Writer, list)
}

func formatImages(c *cli.Context, list []show.Listed) error {
	t, err := inspection.ParseFormat(c)
	if err != nil {
		return err
	}
	for _, i := range list {
		if err := inspection.PrintFormatted(c, t, i); err != nil {
			return err
		}
	}
	return nil
}
