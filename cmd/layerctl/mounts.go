// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
)

func mountsCommand() *cli.Command {
	return &cli.Command{
		Name:   "mounts",
		Usage:  "list what is mounted from this store, and what mounts left",
		Action: runMounts,
	}
}

func runMounts(c *cli.Context) (err error) {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	list, err := show.MountsOf(c.Context, store)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return show.MountsJSON(c.App.Writer, list)
	}
	return show.Mounts(c.App.Writer, list)
}

// tellLeftovers warns of upper directories that earlier mounts at target have left.
func tellLeftovers(c *cli.Context, store *overlaystore.Store, target string) {
	left, err := overlaymount.Leftovers(c.Context, store)
	if err != nil || c.Bool("quiet") {
		return
	}
	for _, w := range left {
		if w.Target != target {
			continue
		}
		loss := ""
		if w.Crashed && w.Volatile {
			loss = "; it was volatile, so that after a crash some of it may be lost or damaged"
		}
		console := terminal.NewConsole(c.App.ErrWriter)
		console.Warn("what an earlier mount at %s wrote is still in %s%s", terminal.Escape(target), terminal.Escape(w.Upper), loss)
		console.Hint("'layerctl umount %s' removes it, when nothing is mounted there", terminal.Escape(target))
	}
}
