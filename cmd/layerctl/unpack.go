// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/layer"
)

func unpackCommand() *cli.Command {
	return &cli.Command{
		Name:      "unpack",
		Usage:     "make a directory the root filesystem of an image, without a mount or privilege",
		ArgsUsage: "REF DIR",
		Flags: append(append(setup.LimitFlags(), setup.TrustFlags()...),
			&cli.StringSliceFlag{Name: "path", Usage: "take only what matches `PATH` (repeatable)"},
			&cli.StringSliceFlag{Name: "exclude", Usage: "leave out what matches `PATH` (repeatable)"},
			&cli.IntFlag{Name: "strip", DefaultText: "none", Usage: "take `N` leading components off each path"},
			&cli.BoolFlag{Name: "force", Usage: "unpack into a directory that is not empty"},
			&cli.BoolFlag{Name: "same-owner", Usage: "give files the image's owners, as is done for root"},
			&cli.BoolFlag{Name: "no-same-owner", Usage: "leave files to the caller, as is done for others"},
			setup.JobsFlag(),
			setup.AnyPlatformFlag(),
			setup.DevicesFlag(),
		),
		Action: runUnpack,
	}
}

func runUnpack(c *cli.Context) (err error) {
	args, err := setup.Arguments(c, 2, 2, "a REF and a DIR")
	if err != nil {
		return err
	}
	options, err := unpackOptions(c)
	if err != nil {
		return err
	}
	show, err := setup.NewProgress(c)
	if err != nil {
		return err
	}
	nodes, err := setup.Devices(c)
	if err != nil {
		return err
	}
	hear := func(e layerctl.Event) { show.Event(args[0], e) }
	if options.Store, err = setup.StoreToRead(c); err != nil {
		return err
	}
	with := setup.WithClient
	if options.Store != nil {
		defer func() { err = setup.Closing(err, options.Store) }()
	} else if !c.Bool("offline") {
		with = setup.WithoutCache
	}
	return with(c, args[:1], func(client *layerctl.Client) error {
		unpacked, err := client.Unpack(c.Context, args[0], args[1], options)
		show.Finish()
		if err != nil {
			return explainOwners(err, options)
		}
		return tellUnpacked(c, unpacked)
	}, setup.Resources(c, hear), setup.Retrying(show), func(o *layerctl.Options) { o.Devices = nodes })
}

func unpackOptions(c *cli.Context) (layerctl.UnpackOptions, error) {
	o := layerctl.UnpackOptions{
		Paths: c.StringSlice("path"), Excludes: c.StringSlice("exclude"), Strip: c.Int("strip"), Force: c.Bool("force"),
	}
	if err := setup.CheckJobs(c); err != nil {
		return o, err
	}
	if o.Strip < 0 {
		return o, &usageError{Problem: fmt.Sprintf("--strip %d is not a number of components", o.Strip)}
	}
	switch same, other := c.Bool("same-owner"), c.Bool("no-same-owner"); {
	case same && other:
		return o, &usageError{Problem: "--same-owner and --no-same-owner exclude each other"}
	case same:
		o.Owners = layerctl.SameOwner
	case other:
		o.Owners = layerctl.NoSameOwner
	}
	return o, nil
}

// ownersError says that a file could not be given its owner.
type ownersError struct{ error }

func (e *ownersError) Unwrap() error { return e.error }

// Hint names the flag that needs no such right.
func (e *ownersError) Hint() string {
	return "this process may not give files to others: --no-same-owner leaves them to the caller"
}

func explainOwners(err error, o layerctl.UnpackOptions) error {
	same := o.Owners == layerctl.SameOwner || o.Owners == layerctl.OwnersByCaller && os.Geteuid() == 0
	if same && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL)) {
		return &ownersError{err}
	}
	return err
}

// leftOut has the warnings for things that the tree lacks. Other notes are printed only
// with --verbose.
var leftOut = map[string]string{
	layer.NoteDevice:       "%d devices were left out",
	layer.NoteCapability:   "%d file capabilities were left out",
	layer.NoteSetID:        "%d files lost their set-user-ID or set-group-ID bits",
	layer.NoteXattrSupport: "%d extended attributes were left out, which the filesystem does not have",
}

func tellUnpacked(c *cli.Context, u layerctl.Unpacked) error {
	console := terminal.NewConsole(c.App.ErrWriter)
	for _, w := range u.Warnings {
		if !c.Bool("quiet") {
			console.Warn("%s: %s", u.Reference, w)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(u.Notes)) {
		words, lacks := leftOut[key]
		switch {
		case lacks && !c.Bool("quiet"):
			console.Warn("%s: %s", u.Reference, fmt.Sprintf(words, u.Notes[key]))
		case c.Bool("verbose"):
			console.Say("%s: tolerated: %s (%d times)", u.Reference, key, u.Notes[key])
		}
	}
	if !c.Bool("json") {
		return nil
	}
	return show.Unpacked(c.App.Writer, u)
}
