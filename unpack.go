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

// ErrNotEmpty is of [Client.Unpack]: the directory has something in it.
var ErrNotEmpty = flatten.ErrNotEmpty

// Owners says whose the files of an unpacked image are.
type Owners byte

// The ways, as tar has them.
const (
	// OwnersByCaller is SameOwner for root and NoSameOwner for others.
	OwnersByCaller Owners = iota
	// SameOwner gives each file the image's owner.
	SameOwner
	// NoSameOwner leaves all files to the caller. Without their owner
	// capabilities would be another's, and devices are left out too.
	NoSameOwner
)

// UnpackOptions say how [Client.Unpack] works; the zero value works. What it may
// cost is said by the client's [Options].
type UnpackOptions struct {
	// Owners is whose the files are; zero goes by the caller.
	Owners Owners
	// Store has layers that need not be fetched; nil for none. Nothing is put
	// into it.
	Store *overlaystore.Store
	// Paths are the patterns of what is wanted of the image, all of it where
	// there are none; Excludes of what is not. A pattern is a path from the
	// root, of which each component may be a glob (path.Match) and "**" is any
	// number of components, and stands for all that is below too.
	Paths, Excludes []string
	// Strip takes so many leading components off each path, and leaves out
	// what has no more.
	Strip int
	// Force unpacks into a directory that is not empty.
	Force bool
}

// Unpacked is what became of an image.
type Unpacked struct {
	Resolution
	// Files, Directories, Symlinks, Links (further names of a file) and Nodes
	// (devices and FIFOs) are what was made, Bytes what is in the files.
	Files, Directories, Symlinks, Links, Nodes, Bytes int64
	// Fetched is how many layers were fetched, Stored how many the store had,
	// Unread how many nothing was needed of.
	Fetched, Stored, Unread int
	// Notes count what was not taken as the image says, under the keys of
	// [unpack.Note]; what was not made among it.
	Notes map[string]int64
	// Traffic is what each host has sent of the layers.
	Traffic []registry.Traffic
	// Warnings are what a person should know of this image, a line each.
	Warnings []string
}

// Unpack makes dir the root filesystem of the image that ref means for the
// client's platform: one flat tree, as a container of the image would show it.
// It asks for no privilege, no overlay and no kind of filesystem.
//
// Layers are fetched and unpacked in parallel, into a directory beside dir, or
// in it where dir exists; then each file is moved to its place. Where dir does
// not exist it appears whole or not at all. In one that does, what the image
// has is replaced, and the rest stays; that is not atomic. Either way what was
// fetched is gone after an error. Nothing is synced.
//
// Everything that is written was verified, by the digest of its layer and by
// its diffID. So of a layer of which anything is needed all is read; where
// Paths has no glob the layers are read from the topmost down, and those below
// the one that settles the last path not at all.
//
// Errors: those of [Client.Pull]; [ErrNotEmpty], [errkind.Usage] for
// what is no pattern, [errkind.NotFound] for a path that no layer has.
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
