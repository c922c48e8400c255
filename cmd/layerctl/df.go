// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
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
	if err := noArguments(c); err != nil {
		return err
	}
	store, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, store) }()
	usage, err := store.Usage()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return terminal.WriteJSON(c.App.Writer, usageOf(usage))
	}
	return printUsage(c, usage)
}

func printUsage(c *cli.Context, u overlaystore.Usage) error {
	table := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REFERENCE\tMANIFEST\tSIZE\tSHARED\tOWN\tUSED")
	for _, i := range u.Images {
		for _, ref := range refsOf(i.Image) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", terminal.Escape(ref), terminal.Short(i.Manifest),
				terminal.Bytes(i.Bytes), terminal.Bytes(i.Shared), terminal.Bytes(i.Own), ago(i.Used, time.Now()))
		}
	}
	fmt.Fprintf(table, "\n%d layers\t\t%s\t\t\t\nreclaimable\t\t%s\t\t\t\n", u.Layers, terminal.Bytes(u.Bytes), terminal.Bytes(u.Reclaimable))
	return table.Flush()
}

// usageJSON is the output of df --json, in bytes of file contents.
type usageJSON struct {
	Images      []imageUsageJSON `json:"images"`
	Layers      int              `json:"layers"`
	Bytes       int64            `json:"bytes"`
	Reclaimable int64            `json:"reclaimable"`
}

type imageUsageJSON struct {
	storedImage
	Bytes  int64 `json:"bytes"`
	Shared int64 `json:"shared"`
	Own    int64 `json:"own"`
}

func usageOf(u overlaystore.Usage) usageJSON {
	out := usageJSON{Images: []imageUsageJSON{}, Layers: u.Layers, Bytes: u.Bytes, Reclaimable: u.Reclaimable}
	for _, i := range u.Images {
		out.Images = append(out.Images, imageUsageJSON{stored(i.Image), i.Bytes, i.Shared, i.Own})
	}
	return out
}
