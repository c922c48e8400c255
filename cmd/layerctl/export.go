// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write an image as one tar file: flat, or as other programs load it",
		ArgsUsage: "REF",
		Flags: append(append(setup.LimitFlags(), setup.TrustFlags()...),
			&cli.StringFlag{Name: "as", Value: "tar", Usage: "write a `tar|oci-archive|docker-archive`"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "-", DefaultText: "standard output, -", Usage: "write to `FILE`"},
			&cli.StringFlag{Name: "name", DefaultText: "REF where it has a tag", Usage: "call the image `NAME:TAG` in the archive"},
			&cli.StringFlag{Name: "owner", Usage: "give everything in a flat tar to `UID:GID`"},
			&cli.BoolFlag{Name: "all-platforms", Usage: "write the index and all its images; oci-archive only"},
			&cli.BoolFlag{Name: "from-store", Usage: "compress the store's layers again rather than fetch those that the cache lacks"},
			&cli.BoolFlag{Name: "keep-blobs", Usage: "keep the layers that are fetched in the cache too"},
			setup.JobsFlag(),
			setup.AnyPlatformFlag(),
		),
		Action: runExport,
	}
}

func runExport(c *cli.Context) (err error) {
	refs, err := setup.Arguments(c, 1, 1, "one REF")
	if err != nil {
		return err
	}
	options, err := exportOptions(c)
	if err != nil {
		return err
	}
	show, err := setup.NewProgress(c)
	if err != nil {
		return err
	}
	store, err := setup.StoreForRootFS(c)
	if err != nil {
		return err
	}
	with := setup.WithClient
	if store != nil {
		defer func() { err = setup.Closing(err, store) }()
		refs[0] = setup.Pinned(c, store, refs[0])
	} else if !c.Bool("offline") && !c.Bool("keep-blobs") {
		with = setup.WithoutCache
	}
	exportFrom(c, store, &options)
	hear := func(e layerctl.Event) { show.Event(refs[0], e) }
	return with(c, refs, func(l *layerctl.Client) error {
		var done layerctl.Exported
		err := setup.WriteOutput(c, func(w io.Writer) (err error) {
			done, err = l.Export(c.Context, refs[0], w, options)
			return err
		})
		show.Finish()
		if err == nil && !c.Bool("quiet") {
			for _, w := range done.Warnings {
				terminal.NewConsole(c.App.ErrWriter).Warn("%s: %s", done.Reference, w)
			}
		}
		return err
	}, setup.Resources(c, hear), setup.Retrying(show))
}

// exportFrom sets the store to take layers from, for exports that can. For others it
// sets a warning for layers that are fetched though the store has them unpacked.
func exportFrom(c *cli.Context, store *overlaystore.Store, o *layerctl.ExportOptions) {
	if o.Format == layerctl.Tar || c.Bool("from-store") || c.Bool("offline") {
		o.Store = store
	} else if !c.Bool("quiet") {
		o.Known = store
	}
	o.Again = func(bytes int64) {
		console := terminal.NewConsole(c.App.ErrWriter)
		console.Warn("the store has %s of what is fetched, but only unpacked, and an archive has the registry's own bytes", terminal.Bytes(bytes))
		console.Hint("--as tar takes the files from the store; --from-store compresses them again, under other digests; --keep-blobs fetches once only")
	}
}

func exportOptions(c *cli.Context) (layerctl.ExportOptions, error) {
	o := layerctl.ExportOptions{
		Format:       layerctl.ExportFormat(c.String("as")),
		Name:         c.String("name"),
		AllPlatforms: c.Bool("all-platforms"),
	}
	if err := setup.CheckJobs(c); err != nil {
		return o, err
	}
	flat := o.Format == layerctl.Tar
	switch {
	case !flat && o.Format != layerctl.OCIArchive && o.Format != layerctl.DockerArchive:
		return o, &usageError{Problem: fmt.Sprintf("there is no --as %q", o.Format), Advice: "it is one of tar, oci-archive or docker-archive"}
	case o.AllPlatforms && o.Format != layerctl.OCIArchive:
		return o, &usageError{Problem: fmt.Sprintf("a %s has one image", o.Format), Advice: "--all-platforms goes with --as oci-archive"}
	case o.AllPlatforms && c.String("platform") != "":
		return o, &usageError{Problem: "--all-platforms and --platform exclude each other"}
	case o.AllPlatforms && c.Bool("from-store"):
		return o, &usageError{Problem: "--all-platforms and --from-store exclude each other", Advice: "the store has the layers of one platform"}
	case flat && o.Name != "":
		return o, &usageError{Problem: "a flat tar has no name for an image", Advice: "--name goes with --as oci-archive and docker-archive"}
	case !flat && c.String("owner") != "":
		return o, &usageError{Problem: "the layers of an archive have their owners", Advice: "--owner goes with --as tar"}
	}
	var err error
	if o.Owner, err = args.Owner("--owner", c.String("owner")); err != nil {
		return o, err
	}
	o.SourceDate, err = args.SourceDate()
	return o, err
}
