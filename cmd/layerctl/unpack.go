// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

func unpackCommand() *cli.Command {
	return &cli.Command{
		Name:      "unpack",
		Usage:     "make a directory the root filesystem of an image, without a mount or privilege",
		ArgsUsage: "REF DIR",
		Description: `DIR becomes one flat tree, as a container of the image would show it. Where it
does not exist it appears whole or not at all. One that is there must be empty;
with --force what the image has is replaced in it, and the rest stays.

No privilege is needed. As root files get the image's owners, otherwise they
are the caller's, and without devices and capabilities, which are counted.

--path takes only a part: a path from the image's root, of which each component
may be a glob and ** is any number of components, with all that is below it;
--exclude leaves such paths out, and --strip takes leading components off. All
of a layer is read and verified of which anything is needed; where no --path is
a glob, layers that can add nothing are not fetched.

Layers that the store has are copied from there, as reflinks where the
filesystem has those; nothing is put into the store, and none is made. Hard
links into it are not made: who wrote to such a file would change the store.

Nothing is printed but for --json, which tells what was made.`,
		Flags: append(limitFlags(),
			&cli.StringSliceFlag{Name: "path", Usage: "take only what matches `PATH` (repeatable)"},
			&cli.StringSliceFlag{Name: "exclude", Usage: "leave out what matches `PATH` (repeatable)"},
			&cli.IntFlag{Name: "strip", Usage: "take `N` leading components off each path"},
			&cli.BoolFlag{Name: "force", Usage: "unpack into a directory that is not empty"},
			&cli.BoolFlag{Name: "same-owner", Usage: "give files the image's owners (default for root)"},
			&cli.BoolFlag{Name: "no-same-owner", Usage: "leave files to the caller (default for others)"},
			jobsFlag(),
			devicesFlag(),
		),
		Action: runUnpack,
	}
}

func runUnpack(c *cli.Context) (err error) {
	args, err := arguments(c, 2, 2, "a REF and a DIR")
	if err != nil {
		return err
	}
	options, err := unpackOptions(c)
	if err != nil {
		return err
	}
	show, err := newProgress(c)
	if err != nil {
		return err
	}
	options.Progress = func(e layerctl.Event) { show.Event(args[0], e) }
	if options.Store, err = storeToRead(c); err != nil {
		return err
	}
	with := withClient
	if options.Store != nil {
		defer func() { err = closing(err, options.Store) }()
	} else if !c.Bool("offline") {
		with = withoutCache
	}
	return with(c, args[:1], func(client *layerctl.Client) error {
		unpacked, err := client.Unpack(c.Context, args[0], args[1], options)
		show.Finish()
		if err != nil {
			return explainOwners(err, options)
		}
		return tellUnpacked(c, unpacked)
	})
}

// withoutCache is withClient for a machine without a store: none is made only
// to keep what is read once.
func withoutCache(c *cli.Context, refs []string, use func(*layerctl.Client) error, set ...option) error {
	return withCache(c, refs, nil, use, set...)
}

func unpackOptions(c *cli.Context) (layerctl.UnpackOptions, error) {
	share := shares(c)
	o := layerctl.UnpackOptions{
		Jobs: share.Jobs, Windows: unpack.NewWindows(share.Windows), Limits: limits(c), Memory: size(c, "max-memory") / 2,
		Paths: c.StringSlice("path"), Excludes: c.StringSlice("exclude"), Strip: c.Int("strip"), Force: c.Bool("force"),
	}
	if err := checkJobs(c); err != nil {
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
	var err error
	o.Devices, err = devices(c)
	return o, err
}

// storeToRead opens the store if there is one that this process can read;
// only of one that was named it is an error that it cannot.
func storeToRead(c *cli.Context) (*overlaystore.Store, error) {
	dir, err := storeDir(c)
	if err != nil {
		return nil, nil //nolint:nilerr // without a home there is no store
	}
	form, err := overlaystore.FormatOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && form.IDs == layer.MappedIDs && os.Geteuid() != 0 {
		return nil, nil // its files belong to subordinate ids, and so would the tree
	}
	var store *overlaystore.Store
	if err == nil {
		store, err = overlaystore.Open(c.Context, dir, overlaystore.Options{Logger: logger(c), NoSync: c.Bool("no-sync")})
	}
	if err != nil && !c.IsSet("store") && errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	return store, err
}

// ownersError is a file that could not be given its owner.
type ownersError struct{ error }

func (e *ownersError) Unwrap() error { return e.error }

// Hint says what needs no such right.
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

// leftOut are the notes on what the tree lacks, in words; all others are for
// --verbose.
var leftOut = map[string]string{
	unpack.NoteDevice:       "%d devices were left out",
	unpack.NoteCapability:   "%d file capabilities were left out",
	unpack.NoteXattrSupport: "%d extended attributes were left out, which the filesystem does not have",
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
