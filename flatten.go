// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/flat"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// Errors of [Client.Unpack] that callers branch on.
var (
	// ErrPattern: a path or an exclusion is no pattern.
	ErrPattern = flat.ErrPattern
	// ErrNoMatch: a path that is asked for is not in the image.
	ErrNoMatch = flat.ErrNoMatch
	// ErrNotEmpty: the directory has something in it.
	ErrNotEmpty = flat.ErrNotEmpty
	// ErrMalformed: the image's layers do not make sense together.
	ErrMalformed = stackview.ErrMalformed
	// ErrLimit: the image has more paths than may be kept in memory.
	ErrLimit = stackview.ErrLimit
)

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
	// recordOwners has all that only a privileged process may do in the
	// journals alone.
	recordOwners
)

// UnpackOptions say how [Client.Unpack] works; the zero value works.
type UnpackOptions struct {
	// Jobs is how many layers are fetched and unpacked at a time; 0 means
	// [DefaultJobs].
	Jobs int
	// Limits bound what a layer may cost; see [unpack.Limits].
	Limits unpack.Limits
	// Windows is what zstd layers with large windows share; see
	// [unpack.Options].
	Windows *unpack.Windows
	// Memory bounds the bytes that the paths of all layers may take, about 400
	// for each and its own length; 0 means 512 MiB.
	Memory int64
	// Devices is what becomes of device nodes; zero makes them where the
	// process may and where files have the image's owners.
	Devices unpack.Devices
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
	// Progress hears of every step, as with a pull, but for Committing; nil
	// hears nothing.
	Progress func(Event)
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
// Errors: those of [Client.Pull]; [ErrNotEmpty], [ErrPattern], [ErrNoMatch].
func (c *Client) Unpack(ctx context.Context, ref, dir string, o UnpackOptions) (_ Unpacked, err error) {
	choice, err := flat.NewChoice(o.Paths, o.Excludes)
	if err != nil {
		return Unpacked{}, err
	}
	place, err := flat.Begin(ctx, dir, o.Force)
	if err != nil {
		return Unpacked{}, err
	}
	defer func() { err = errors.Join(err, place.Discard()) }()
	var unpacked Unpacked
	err = c.with(ctx, ref, func(s *source.Source) (err error) {
		f := &flattening{
			client: c, source: s, fetch: c.fetcher(s, o.Progress),
			options: o, dir: dir, choice: choice, place: place,
			stack:  stackview.NewStack(stackview.Options{Memory: o.Memory}),
			layers: map[digest.Digest]*flatLayer{}, notes: map[string]int64{},
		}
		unpacked, err = f.run(ctx)
		return err
	})
	if err != nil {
		return Unpacked{}, err
	}
	return unpacked, nil
}

// flattening is one image on its way into a directory.
type flattening struct {
	client  *Client
	source  *source.Source
	fetch   *fetch.Fetcher
	options UnpackOptions
	dir     string
	choice  *flat.Choice
	place   *flat.Place
	stack   *stackview.Stack
	mu      sync.Mutex
	layers  map[digest.Digest]*flatLayer // those that were read; guarded by mu
	notes   map[string]int64             // guarded by mu
	dirs    int                          // guarded by mu
}

// flatLayer is a layer that was read.
type flatLayer struct {
	merged  *stackview.Layer
	content flat.Content
	fetch.Layer
	staged bool
	wanted func(path string) bool // what was written of a staged one
	close  func() error
}

func (f *flattening) run(ctx context.Context) (Unpacked, error) {
	resolution, err := f.source.Resolve(ctx)
	if err != nil {
		return Unpacked{}, err // names the reference
	}
	unpacked, err := f.resolved(ctx, resolution)
	if err != nil {
		return Unpacked{}, fmt.Errorf("unpack %s: %w", resolution.Reference, f.explain(err))
	}
	return unpacked, nil
}

// explain says of a full disk where it is.
func (f *flattening) explain(err error) error {
	var reserve *unpack.SpaceError
	if errors.As(err, &reserve) {
		return fmt.Errorf("%w, on the filesystem of %s", err, f.dir)
	}
	return err
}

func (f *flattening) resolved(ctx context.Context, r source.Resolution) (_ Unpacked, err error) {
	image, err := f.source.Image(ctx, r)
	if err != nil {
		return Unpacked{}, err
	}
	if f.options.Store != nil {
		lease, err := f.options.Store.Lease(ctx, "unpack "+r.Reference.String(), image.DiffIDs()...)
		if err != nil {
			return Unpacked{}, err
		}
		defer func() { err = errors.Join(err, lease.Release()) }()
	}
	defer func() { err = errors.Join(err, f.close()) }()
	unread, err := f.read(ctx, image.Layers)
	if err != nil {
		return Unpacked{}, err
	}
	view, err := f.merge(image.Layers, unread)
	if err != nil {
		return Unpacked{}, err
	}
	if err := f.readAgain(ctx, image.Layers[unread:], view); err != nil {
		return Unpacked{}, err
	}
	tree, err := f.make(ctx, image, unread, view)
	if err != nil {
		return Unpacked{}, err
	}
	return f.unpacked(r, image, tree.Counts), nil
}

func (f *flattening) close() error {
	var errs []error
	for _, l := range f.layers {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

func (f *flattening) make(ctx context.Context, i source.Image, unread int, view *stackview.View) (*flat.Tree, error) {
	o := flat.Options{
		Choice: f.choice, Strip: f.options.Strip, SameOwner: f.sameOwner(),
		NoDevices: !f.sameOwner() || f.options.Devices == unpack.SkipDevices,
		LeftOut:   func(kind flat.Kind, _ string) { f.notes[noteOf[kind]]++ },
	}
	for _, l := range i.Layers[unread:] {
		o.Contents = append(o.Contents, f.layers[l.DiffID].content)
	}
	tree, err := flat.Make(ctx, f.place.Root(), view, o)
	if err != nil {
		return nil, err
	}
	return tree, f.place.Commit(ctx, tree)
}

// noteOf are the words that unpack has for what flat leaves out.
var noteOf = map[flat.Kind]string{
	flat.Device:     unpack.NoteDevice,
	flat.Capability: unpack.NoteCapability,
	flat.Attribute:  unpack.NoteXattrSupport,
}

func (f *flattening) sameOwner() bool {
	return f.options.Owners == SameOwner || f.options.Owners == OwnersByCaller && os.Geteuid() == 0
}

func (f *flattening) unpacked(r source.Resolution, i source.Image, made flat.Counts) Unpacked {
	u := Unpacked{
		Resolution: Resolution(r), Notes: f.notes, Traffic: f.source.Traffic(), Warnings: append(i.Warnings, f.fetch.Warnings()...),
		Files: made.Files, Directories: made.Directories, Symlinks: made.Symlinks, Links: made.Links, Nodes: made.Nodes, Bytes: made.Bytes,
	}
	for _, l := range f.layers {
		if l.staged {
			u.Fetched++
		} else {
			u.Stored++
		}
	}
	for _, l := range fetch.Distinct(i.Layers) {
		if f.layers[l.DiffID] == nil {
			u.Unread++
		}
	}
	return u
}
