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
		Description: `Lists what the directory at PATH, or the root, holds in the image's root
filesystem: a path a line, from the root and without symbolic links, sorted by
its bytes. Anything else than a directory is listed itself. PATH begins with a
slash; what is not there ends with exit code 3.

A symbolic link at PATH is followed, unless -l or -d is given and no slash
comes after it. -l shows type and mode, owner and group, the size (of a device
its numbers), the time in UTC, and where a symbolic link leads. Characters
that are not printable are shown as escapes; --json has names byte for byte.

--json prints an array of objects: path; type, one of file, directory, symlink,
chardev, blockdev, fifo; mode, octal; uid; gid; size; modTime; target of a
symlink; major and minor of a device; xattrs, each value in base64; names,
where a file has several in the image. In path, target and the names of xattrs
a percent sign and the bytes that are no UTF-8 stand as %XX.

Layers are read from the store where it has them, where devices may be missing
that it could not make, else streamed through verification. Their paths are
kept in memory, in less than half of --max-memory; nothing is written.`,
		Flags: append(setup.ReadFlags(),
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "show mode, owner, size and time too"},
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "list all that is below PATH"},
			&cli.BoolFlag{Name: "directory", Aliases: []string{"d"}, Usage: "list PATH itself, not what is in it"},
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
	return readRootFS(c, ref, func(l *layerctl.Client, o layerctl.RootFSOptions) (err error) {
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
		case c.Bool("json"):
			return show.FilesJSON(c.App.Writer, list)
		case c.Bool("long"):
			return show.LongFiles(c.App.Writer, list)
		}
		return show.Files(c.App.Writer, list)
	})
}

// listing is what is to be listed of what stands at the path.
func listing(c *cli.Context, image *layerctl.RootFS, file rootfs.File) iter.Seq[rootfs.File] {
	switch {
	case !file.Mode.IsDir() || c.Bool("directory"):
		return slices.Values([]rootfs.File{file})
	case c.Bool("recursive"):
		return image.Below(file.Path)
	}
	return image.In(file.Path)
}
