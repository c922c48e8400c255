// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

func imagesCommand() *cli.Command {
	return &cli.Command{
		Name:  "images",
		Usage: "list the images in the store",
		Description: `A row a reference; an image that has none, until the next prune, shows '-'.
PLATFORM is the image's, MANIFEST begins its digest, LAYERS are counted as its
manifest does, SIZE is that of the compressed layers, manifest and config, as
fetched, and PULLED when it first came, in UTC.
--format prints a Go template for each image, over an object of --json.`,
		Flags:  []cli.Flag{&cli.StringFlag{Name: "format", Usage: "print each image by a Go `TEMPLATE`, such as '{{.manifest}} {{json .references}}'"}},
		Action: runImages,
	}
}

// storedImage is an image in the output of images --json.
type storedImage struct {
	overlaystore.Image
	References []string  `json:"references"`
	LastUsed   time.Time `json:"used"`
}

func stored(i overlaystore.Image) storedImage {
	return storedImage{i, append([]string{}, i.Refs...), i.Used}
}

// refsOf are the image's references for a table: one row at the least.
func refsOf(i overlaystore.Image) []string {
	if len(i.Refs) == 0 {
		return []string{"-"}
	}
	return i.Refs
}

func runImages(c *cli.Context) (err error) {
	if err := noArguments(c); err != nil {
		return err
	}
	store, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, store) }()
	images, err := store.Images()
	if err != nil {
		return err
	}
	list := []storedImage{}
	for _, i := range images {
		list = append(list, stored(i))
	}
	switch {
	case c.String("format") != "":
		return formatImages(c, list)
	case c.Bool("json"):
		return terminal.WriteJSON(c.App.Writer, list)
	}
	return tableOfImages(c.App.Writer, images)
}

func formatImages(c *cli.Context, list []storedImage) error {
	t, err := parseFormat(c.String("format"))
	if err != nil {
		return err
	}
	for _, i := range list {
		if err := printFormatted(c, t, i, "images"); err != nil {
			return err
		}
	}
	return nil
}

func tableOfImages(w io.Writer, images []overlaystore.Image) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REFERENCE\tPLATFORM\tMANIFEST\tLAYERS\tSIZE\tPULLED")
	for _, i := range images {
		for _, ref := range refsOf(i) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", terminal.Escape(ref), platform.Format(i.Platform),
				terminal.Short(i.Manifest), len(i.Layers), terminal.Bytes(i.Size), i.Created.UTC().Format("2006-01-02 15:04"))
		}
	}
	return table.Flush()
}
