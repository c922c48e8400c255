// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"iter"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/rootfs"
)

func lsCommand() *cli.Command {
	return &cli.Command{
		Name:                   "ls",
		Usage:                  "list the files of an image without unpacking it",
		ArgsUsage:              "REF[:PATH]",
		UseShortOptionHandling: true,
		Flags: append(append(setup.ReadFlags(), setup.TrustFlags()...),
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "show mode, owner, size and time too"},
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "list all that is below PATH"},
			&cli.BoolFlag{Name: "directory", Aliases: []string{"d"}, Usage: "list PATH itself, not what is in it"},
			&cli.BoolFlag{Name: "ndjson", Usage: "print a JSON object a line, as they are in --json"},
			setup.JobsFlag(),
		),
		Action: runLs,
	}
}

func runLs(c *cli.Context) error {
	ref, path, err := pathArgument(c, "REF[:PATH]")
	if err != nil {
		return err
	}
	if path == "" {
		path = "/"
	}
	return setup.ReadRootFS(c, []string{ref}, func(l *layerctl.Client, o layerctl.RootFSOptions) (err error) {
		image, err := l.RootFS(c.Context, ref, o)
		if err != nil {
			return err
		}
		defer func() { err = setup.Closing(err, image) }()
		file, err := image.Lookup(path, !c.Bool("long") && !c.Bool("directory"))
		if err != nil {
			return fmt.Errorf("list %s: %w", ref, err)
		}
		list := slices.Collect(listing(c, image, file))
		switch {
		case c.Bool("ndjson"):
			return show.FileLines(c.App.Writer, list)
		case c.Bool("json"):
			return show.FilesJSON(c.App.Writer, list)
		case c.Bool("long"):
			return show.LongFiles(c.App.Writer, list)
		}
		return show.Files(c.App.Writer, list)
	})
}

// listing yields the files to list: file itself, or what is in it or below it.
func listing(c *cli.Context, image *layerctl.RootFS, file rootfs.File) iter.Seq[rootfs.File] {
	switch {
	case !file.Mode.IsDir() || c.Bool("directory"):
		return slices.Values([]rootfs.File{file})
	case c.Bool("recursive"):
		return image.Below(file.Path)
	}
	return image.In(file.Path)
}
