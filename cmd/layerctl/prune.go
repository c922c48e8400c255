// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
)

func pruneCommand() *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove what nothing needs",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "remove nothing, tell what would go"},
			&cli.GenericFlag{Name: "older-than", Value: args.NewSpan(0), DefaultText: "spare nothing", Usage: "spare what was used within `TIME`, such as 36h, 7d or 2w"},
			&cli.BoolFlag{Name: "partial", Usage: "also layers of pulls that were interrupted within a day"},
			&cli.GenericFlag{Name: "keep-storage", DefaultText: "no limit", Value: &args.Size{}, Usage: "let the longest unused images go until the rest takes `SIZE`"},
		},
		Action: runPrune,
	}
}

func pruneOptions(c *cli.Context) (overlaystore.PruneOptions, error) {
	options := overlaystore.PruneOptions{
		DryRun:      c.Bool("dry-run"),
		Partial:     c.Bool("partial"),
		OlderThan:   setup.Span(c, "older-than"),
		KeepStorage: setup.Size(c, "keep-storage"),
	}
	if options.OlderThan < 0 {
		return options, &usageError{Problem: fmt.Sprintf("--older-than %s is in the future", options.OlderThan)}
	}
	if c.IsSet("keep-storage") && options.KeepStorage == 0 {
		options.KeepStorage = -1 // 0 means no limit to the library
	}
	return options, nil
}

func runPrune(c *cli.Context) (err error) {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	options, err := pruneOptions(c)
	if err != nil {
		return err
	}
	store, err := setup.OpenToCount(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	pruned, err := store.Prune(c.Context, options)
	if err != nil {
		return err
	}
	if !options.DryRun {
		if err := engines.TakeUnwanted(c, store); err != nil {
			return err
		}
	}
	blobs, err := setup.PruneCache(c, store, options)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return show.PrunedJSON(c.App.Writer, pruned, blobs)
	}
	if err := show.Pruned(c.App.Writer, pruned, blobs); err != nil || c.Bool("quiet") {
		return err
	}
	verb := "freed"
	if c.Bool("dry-run") {
		verb = "would free"
	}
	terminal.NewConsole(c.App.ErrWriter).Say("%s %s", verb, terminal.Bytes(pruned.Bytes+pruned.Left+pruned.Partial+blobs.Bytes+blobs.Partial))
	return nil
}
