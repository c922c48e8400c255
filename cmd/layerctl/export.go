// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write an image as one tar file that other programs load",
		ArgsUsage: "REF",
		Description: `--as oci-archive: an OCI image layout in a tar, with the image's own bytes: all
digests stay. docker load, podman load, ctr image import, skopeo and k3s (in
agent/images) take it.
--as docker-archive: what docker save writes, for programs that know only that.
The config's digest, the image's id, stays.

Layers are taken from the cache or fetched, verified, and written as they come;
nothing is written to the disk but the file, which appears when it is whole.

The same image gives the same bytes. $SOURCE_DATE_EPOCH is the time of the
archive's entries, else 1970-01-01.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "as", Usage: "write an `oci-archive|docker-archive`"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "-", Usage: "write to `FILE`, - for standard output"},
			&cli.StringFlag{Name: "name", Usage: "call the image `NAME:TAG` in the archive (default: REF where it has a tag)"},
			&cli.BoolFlag{Name: "all-platforms", Usage: "write the index and all its images; oci-archive only"},
			&cli.BoolFlag{Name: "keep-blobs", Usage: "keep the layers that are fetched in the cache too"},
		},
		Action: runExport,
	}
}

func runExport(c *cli.Context) error {
	refs, err := arguments(c, 1, 1, "one REF")
	if err != nil {
		return err
	}
	options, err := exportOptions(c)
	if err != nil {
		return err
	}
	show, err := newProgress(c)
	if err != nil {
		return err
	}
	options.Progress = func(e layerctl.Event) { show.event(refs[0], e) }
	return withClient(c, refs, func(l *layerctl.Client) error {
		var done layerctl.Exported
		err := writeOutput(c, func(w io.Writer) (err error) {
			done, err = l.Export(c.Context, refs[0], w, options)
			return err
		})
		show.finish()
		if err == nil && !c.Bool("quiet") {
			for _, w := range done.Warnings {
				newConsole(c.App.ErrWriter).warn("%s: %s", done.Reference, w)
			}
		}
		return err
	})
}

func exportOptions(c *cli.Context) (layerctl.ExportOptions, error) {
	o := layerctl.ExportOptions{
		Format:       layerctl.ExportFormat(c.String("as")),
		Name:         c.String("name"),
		AllPlatforms: c.Bool("all-platforms"),
	}
	switch {
	case o.Format != layerctl.OCIArchive && o.Format != layerctl.DockerArchive:
		return o, &usageError{problem: fmt.Sprintf("there is no --as %q", o.Format), hint: "it is one of oci-archive, docker-archive"}
	case o.AllPlatforms && o.Format != layerctl.OCIArchive:
		return o, &usageError{problem: fmt.Sprintf("a %s has one image", o.Format), hint: "--all-platforms goes with --as oci-archive"}
	case o.AllPlatforms && c.String("platform") != "":
		return o, &usageError{problem: "--all-platforms and --platform exclude each other"}
	}
	var err error
	o.ModTime, err = sourceDate()
	return o, err
}

// sourceDate is $SOURCE_DATE_EPOCH, seconds since 1970, or the zero time
// (https://reproducible-builds.org/specs/source-date-epoch/).
func sourceDate() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 || seconds > maxSourceDate {
		return time.Time{}, &usageError{problem: fmt.Sprintf("$SOURCE_DATE_EPOCH is %q, and no number of seconds", s)}
	}
	return time.Unix(seconds, 0), nil
}

// maxSourceDate is what every tar can say: eleven octal digits.
const maxSourceDate = 1<<33 - 1
