// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// Verified is the result of verifying one image in one engine.
type Verified struct {
	Record given.Record
	Report containerd.Report
}

// Verify compares what containerd has of the images with the journals: of those
// of the options, or of all, with what was handed over. An engine that cannot be
// reached is told of and left out. The error is errkind.Mismatch where anything
// differs; the reports have it then.
func Verify(c *cli.Context, store *overlaystore.Store, o overlaystore.VerifyOptions) ([]Verified, error) {
	list, err := given.List(store.Dir())
	if err != nil {
		return nil, err
	}
	var all []Verified
	damaged := 0
	for _, r := range list {
		if r.Kind != given.Containerd || !r.Complete || !asked(r, o.Images) {
			continue
		}
		report, err := verifyOne(c, store, r, o)
		if errors.Is(err, errkind.Network) {
			terminal.NewConsole(c.App.ErrWriter).Warn("%v; what it has is not verified", err)
			continue
		}
		if err != nil {
			return all, err
		}
		all = append(all, Verified{r, report})
		layers, _ := report.Damaged()
		damaged += len(layers)
	}
	if damaged > 0 {
		return all, fmt.Errorf("verify what engines have: %d layers are %w", damaged, overlaystore.ErrDamaged)
	}
	return all, nil
}

func asked(r given.Record, images []overlaystore.Image) bool {
	for _, i := range images {
		if i.Manifest == r.Manifest {
			return true
		}
	}
	return images == nil
}

func verifyOne(c *cli.Context, store *overlaystore.Store, r given.Record, o overlaystore.VerifyOptions) (_ containerd.Report, err error) {
	e, err := open(c, r)
	if err != nil {
		return containerd.Report{}, err
	}
	defer func() { err = setup.Closing(err, e) }()
	if r.HandedOver {
		// An image that the engine has collected is no damage.
		if has, err := e.Has(c.Context, names(r), r.Layers); err != nil || !has {
			return containerd.Report{}, err
		}
	}
	return e.Verify(c.Context, store, r, o)
}

// Place returns the engine of a record, for people.
func Place(r given.Record) string {
	return fmt.Sprintf("%s's namespace %s (%s)", r.Kind, r.Namespace, r.Address)
}

// Repair has mend repair the store and puts sound layers in the place of those in
// engines that differ; damaged are the layers that were found to, here or there.
// What was handed over is pulled once more for it, and is the store's meanwhile.
func Repair(c *cli.Context, client *layerctl.Client, store *overlaystore.Store, o overlaystore.VerifyOptions, damaged []digest.Digest, mend func() error) (err error) {
	list, err := given.List(store.Dir())
	if err != nil {
		return err
	}
	var errs []error
	lost := map[digest.Digest]bool{}
	for _, r := range list {
		if !r.HandedOver || !asked(r, o.Images) || !slices.ContainsFunc(r.Layers, func(l digest.Digest) bool { return slices.Contains(damaged, l) }) {
			continue
		}
		end, failed := bringBack(c, client, store, r)
		defer func() { err = errors.Join(err, end()) }()
		if failed != nil {
			lost[r.Manifest] = true
			errs = append(errs, failed)
		}
	}
	errs = append(errs, mend())
	found, err := Verify(c, store, o)
	if err != nil && !errors.Is(err, overlaystore.ErrDamaged) {
		return errors.Join(append(errs, err)...)
	}
	for _, v := range found {
		if layers, _ := v.Report.Damaged(); len(layers) > 0 && !lost[v.Record.Manifest] {
			errs = append(errs, repairOne(c, store, v.Record, layers))
		}
	}
	return errors.Join(errs...)
}

func repairOne(c *cli.Context, store *overlaystore.Store, r given.Record, layers []digest.Digest) (err error) {
	img, err := store.Image(r.Manifest)
	if err != nil {
		return err
	}
	e, err := open(c, r)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, e) }()
	n, err := e.Renew(c.Context, store, img, layers)
	if err != nil {
		return &engineError{err}
	}
	if n > 0 && !c.Bool("quiet") {
		terminal.NewConsole(c.App.ErrWriter).Say("renewed %s in %s; what runs from there goes on with the old files", terminal.Count(n, "layer"), Place(r))
	}
	return nil
}

// bringBack pulls what was handed over, until end is called, where an engine has it
// still and the store knows it by no reference.
func bringBack(c *cli.Context, client *layerctl.Client, store *overlaystore.Store, r given.Record) (end func() error, err error) {
	end = func() error { return nil }
	if err := endRepair(c, store, r); err != nil {
		return end, err
	}
	images, err := store.Images()
	if err != nil || slices.ContainsFunc(images, func(i overlaystore.Image) bool { return i.Manifest == r.Manifest && len(i.Names) > 0 }) {
		return end, err
	}
	if has, err := isThere(c, r); err != nil || !has {
		return end, awayIsFine(err) // Verify tells of it
	}
	return pullAgain(c.Context, client, store, r)
}

// pullAgain pulls what was handed over under a name that means nothing else, which
// goes when end is called.
func pullAgain(ctx context.Context, client *layerctl.Client, store *overlaystore.Store, r given.Record) (end func() error, err error) {
	none := func() error { return nil }
	ref, err := pulledAs(r)
	if err != nil {
		return none, err
	}
	stop, err := given.BeginRepair(ctx, store.Dir(), r)
	if err != nil {
		return none, err
	}
	pulled, err := client.For(r.Platform).Pull(ctx, store, ref.String())
	if err != nil {
		return none, errors.Join(err, stop())
	}
	return func() error {
		if err := forgetAgain(context.WithoutCancel(ctx), store, r, pulled.Image.Pulled); err != nil {
			return err
		}
		return stop()
	}, nil
}

// names returns all names that the image of a record has in its engine.
func names(r given.Record) (list []containerd.Name) {
	for _, n := range r.AllNames() {
		list = append(list, containerd.Name(n))
	}
	return list
}

// isThere reports whether an engine has the image that it was given.
func isThere(c *cli.Context, r given.Record) (has bool, err error) {
	e, err := open(c, r)
	if err != nil {
		return false, err
	}
	defer func() { err = setup.Closing(err, e) }()
	return e.Has(c.Context, names(r), r.Layers)
}

// pulledAs is what an image that was handed over is pulled as for a repair: by its
// digest. What it was called may mean another image by now, here and there.
func pulledAs(r given.Record) (registry.Reference, error) {
	ref, err := registry.Parse(r.Reference)
	return ref.WithDigest(r.Manifest), err
}

// EndRepairs removes the references that repairs which died have left, before refs are
// pulled: nobody could tell a reference that is pulled by the same digest apart
// afterwards. It waits only for these until nobody else gives or takes; a prune ends
// the others, and what fails.
func EndRepairs(c *cli.Context, store *overlaystore.Store, refs []string) {
	if c.Bool("dry-run") {
		return
	}
	pulled := map[digest.Digest]bool{}
	for _, ref := range refs {
		if parsed, err := registry.Parse(ref); err == nil { // the pull tells of it
			pulled[parsed.Digest()] = true
		}
	}
	list, err := given.List(store.Dir())
	for _, r := range list {
		if pulled[r.Manifest] {
			err = errors.Join(err, endRepair(c, store, r))
		}
	}
	if err != nil {
		setup.Logger(c).Info("end repairs that were interrupted", "error", err)
	}
}

// endRepair removes the reference that a repair which died has left.
func endRepair(c *cli.Context, store *overlaystore.Store, r given.Record) error {
	return given.EndRepair(c.Context, store.Dir(), r, func() error { return forgetAgain(c.Context, store, r, time.Time{}) })
}

// forgetAgain removes what an image was pulled as for a repair, if it is there, unless
// it was pulled once more after the time pulled, as that alone; zero is not known.
func forgetAgain(ctx context.Context, store *overlaystore.Store, r given.Record, pulled time.Time) error {
	ref, err := pulledAs(r)
	if err != nil {
		return err
	}
	img, err := store.Lookup(ref.String(), platform.Wanted{})
	if err == nil && !pulled.IsZero() && img.Pulled.After(pulled) && len(img.Names) == 1 {
		return nil // it is somebody's
	}
	err = store.Remove(ctx, ref.String(), r.Manifest)
	if errors.Is(err, overlaystore.ErrNotFound) {
		return nil
	}
	return err
}
