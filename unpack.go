// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/layerctl/layerctl/internal/flatten"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// ErrNotEmpty is returned by [Client.Unpack] for a directory that is not empty.
var ErrNotEmpty = flatten.ErrNotEmpty

// Owners says who owns the files of an unpacked image.
type Owners byte

// The choices are those of tar's options of the same names.
const (
	// OwnersByCaller is SameOwner for root and NoSameOwner for others.
	OwnersByCaller Owners = iota
	// SameOwner gives each file the image's owner.
	SameOwner
	// NoSameOwner gives all files to the caller. It leaves out file capabilities,
	// which would now be the caller's, and device nodes.
	NoSameOwner
)

// UnpackOptions say how [Client.Unpack] works; the zero value works. The client's
// [Options] bound what it may cost.
type UnpackOptions struct {
	// Owners says who owns the files; zero depends on the caller.
	Owners Owners
	// Store is a store whose layers need not be fetched; nil is none. Nothing is
	// put into it.
	Store *overlaystore.Store
	// Paths are patterns of what is wanted of the image, empty meaning all of
	// it; Excludes are patterns of what is not. A pattern is a path from the root.
	// Each of its components may be a glob (path.Match), and "**" is any number of
	// components. What matches is meant with all that is below it.
	Paths, Excludes []string
	// Strip removes so many leading components from each path, and leaves out
	// paths that have no more than those.
	Strip int
	// Force unpacks into a directory that is not empty.
	Force bool
}

// Unpacked is what [Client.Unpack] made of an image.
type Unpacked struct {
	Resolution
	// Files, Directories, Symlinks, Links (further names of a file) and Nodes
	// (devices and FIFOs) count what was made; Bytes adds up the sizes of Files.
	Files, Directories, Symlinks, Links, Nodes, Bytes int64
	// Fetched counts the layers that were fetched, Stored those that the store
	// had, Unread those of which nothing was needed.
	Fetched, Stored, Unread int
	// Notes count, by the keys of [unpack.Note], what was made otherwise than the
	// image says, or not made.
	Notes map[string]int64
	// Traffic is what each host has sent of the layers.
	Traffic []registry.Traffic
	// Warnings are what a user should know of this image, one line each.
	Warnings []string
}

// Unpack makes dir the root filesystem of the image that ref means for the
// client's platform: one flat tree, as a container of the image would show it.
// It needs no privilege, no overlay and no special filesystem.
//
// Layers are fetched and unpacked in parallel, into a directory beside dir, or
// inside dir where that exists; then each file is moved to its place. A new dir
// appears whole or not at all. In an existing dir, which is not atomic, files of
// the image replace those of the same path, and the rest stays. After an error
// nothing that was fetched is left beside or inside dir but files already in
// their place. Nothing is synced.
//
// Everything that is written was verified by its layer's digest and diffID, so a
// layer from which anything is needed is read to its end. Where Paths has no glob
// the layers are read from the topmost down, until all paths have been found.
//
// Errors: those of [Client.Pull], [ErrNotEmpty], [errkind.Usage] for a malformed
// pattern, [errkind.NotFound] for a path that no layer has.
func (c *Client) Unpack(ctx context.Context, ref, dir string, o UnpackOptions) (_ Unpacked, err error) {
	choice, err := flatten.NewChoice(o.Paths, o.Excludes)
	if err != nil {
		return Unpacked{}, err
	}
	place, err := flatten.Begin(ctx, dir, o.Force)
	if err != nil {
		return Unpacked{}, err
	}
	defer func() { err = errors.Join(err, place.Discard()) }()
	var unpacked Unpacked
	err = c.with(ctx, ref, func(s *source.Source) error {
		r, err := s.Resolve(ctx)
		if err != nil {
			return err // names the reference
		}
		if err := c.judge().Admit(ctx, s, r, o.Store); err != nil {
			return err
		}
		unpacked, err = c.unpack(ctx, s, r, place, choice, o)
		if err != nil {
			return fmt.Errorf("unpack %s: %w", r.Reference, err)
		}
		return nil
	})
	if err != nil {
		return Unpacked{}, err
	}
	return unpacked, nil
}

func (c *Client) unpack(ctx context.Context, s *source.Source, r source.Resolution, place *flatten.Place, choice *flatten.Choice, o UnpackOptions) (_ Unpacked, err error) {
	chosen, err := s.Image(ctx, r)
	if err != nil {
		return Unpacked{}, err
	}
	fetcher := c.fetcher(s)
	image, err := flatten.Read(ctx, place, "unpack "+r.Reference.String(), chosen.Layers, flatten.Options{
		Fetch: fetcher, Logger: c.log, Strict: c.options.Strict,
		Jobs: c.options.Jobs, Limits: c.options.Limits, Windows: c.options.Windows, Memory: c.options.Memory, Devices: c.options.Devices,
		Store: o.Store, Choice: choice, Strip: o.Strip,
		SameOwner: o.Owners == SameOwner || o.Owners == OwnersByCaller && os.Geteuid() == 0,
	})
	if err != nil {
		return Unpacked{}, err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	made, err := image.Make(ctx)
	if err != nil {
		return Unpacked{}, err
	}
	u := Unpacked{
		Resolution: Resolution(r), Notes: image.Notes(), Traffic: s.Traffic(), Warnings: append(chosen.Warnings, fetcher.Warnings()...),
		Files: made.Files, Directories: made.Directories, Symlinks: made.Symlinks, Links: made.Links, Nodes: made.Nodes, Bytes: made.Bytes,
	}
	u.Fetched, u.Stored, u.Unread = image.Layers()
	return u, nil
}
