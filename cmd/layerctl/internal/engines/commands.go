// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/signatures"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// GiveCommand returns the command give.
func GiveCommand() *cli.Command {
	return &cli.Command{
		Name: "give", Usage: "give images of the store to an engine of this node", ArgsUsage: "REF…",
		Flags: append(append(GiveFlags(), setup.TrustFlags()...),
			&cli.BoolFlag{Name: "keep-blobs", Usage: "give containerd the compressed layers too, so that it can push and save the image"}),
		Action: runGive,
	}
}

// TakeCommand returns the command take.
func TakeCommand() *cli.Command {
	return &cli.Command{
		Name: "take", Usage: "take images back from the engines that they were given to", ArgsUsage: "REF…",
		Flags: engineFlags(), Action: runTake,
	}
}

func runGive(c *cli.Context) (err error) {
	refs, err := setup.Arguments(c, 1, -1, "one REF or more")
	if err != nil {
		return err
	}
	if c.String("into") == "" {
		return &args.UsageError{Problem: "give needs --into", Advice: "--into containerd, for example"}
	}
	if c.IsSet("engine-name") && len(refs) > 1 {
		return &args.UsageError{Problem: "--engine-name is for one image"}
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	g, err := NewGiver(c, store)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, g) }()
	if err := signatures.JudgeStored(c, store, refs); err != nil {
		return err
	}
	// Usually the cache has the documents of a pulled image, so that no registry is asked.
	err = g.giveAll(refs, true)
	if errors.Is(err, layerctl.ErrOffline) && !c.Bool("offline") {
		err = g.giveAll(refs, false)
	}
	return err
}

func (g *Giver) giveAll(refs []string, offline bool) error {
	return setup.WithClient(g.c, refs, func(client *layerctl.Client) error {
		var errs []error
		for _, ref := range refs {
			img, name, err := setup.LookupToRead(g.c, g.store, ref)
			if err == nil {
				err = g.Give(client, name, img, "")
			}
			errs = append(errs, failure.Concerns(ref, Elsewhere(g.store, ref, err)))
		}
		return errors.Join(errs...)
	}, func(o *layerctl.Options) { o.Offline = o.Offline || offline })
}

func runTake(c *cli.Context) (err error) {
	refs, err := setup.Arguments(c, 1, -1, "one REF or more")
	if err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	var errs []error
	for _, ref := range refs {
		img, _, err := setup.LookupToRead(c, store, ref)
		if err == nil {
			err = take(c, store, img.Manifest, nil)
		}
		errs = append(errs, failure.Concerns(ref, Elsewhere(store, ref, err)))
	}
	return errors.Join(errs...)
}

// Elsewhere adds a hint to err if the image was handed over to an engine; err is why the
// store does not have it.
func Elsewhere(store *overlaystore.Store, ref string, err error) error {
	if !errors.Is(err, overlaystore.ErrNotFound) {
		return err
	}
	parsed, parseErr := registry.Parse(ref)
	list, _ := given.List(store.Dir()) // only a hint
	for _, r := range list {
		if r.HandedOver && parseErr == nil && r.Reference == parsed.String() {
			return &handedOverError{err, Place(r)}
		}
	}
	return err
}

// handedOverError is an image that only an engine has.
type handedOverError struct {
	error
	place string
}

func (e *handedOverError) Unwrap() error { return e.error }

// Hint says where the image is.
func (e *handedOverError) Hint() string {
	return "it was handed over to " + e.place + ", whose own commands remove it; 'layerctl pull' brings it here again"
}

// unwanted reports whether an image shall still be taken, after others have finished,
// by whether it was given to the end; nil means yes.
type unwanted func(complete bool) (bool, error)

// take takes an image back from all engines that it was given to, or from the one that
// --into names.
func take(c *cli.Context, store *overlaystore.Store, manifest digest.Digest, still unwanted) error {
	list, err := given.List(store.Dir())
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range list {
		if r.Manifest == manifest {
			errs = append(errs, takeOne(c, store, r, still))
		}
	}
	return errors.Join(errs...)
}

func takeOne(c *cli.Context, store *overlaystore.Store, r given.Record, still unwanted) (err error) {
	if r.Kind == given.ContainersStorage {
		return takeStorage(c, store, r, still)
	}
	if only(c) != "" {
		if _, is, err := storageDir(only(c), store); is || err != nil {
			return err
		}
		o, err := options(c, only(c))
		if err != nil || o.Address != r.Address || o.Namespace != "" && o.Namespace != r.Namespace {
			return err
		}
	}
	if r.HandedOver && !r.Again {
		if still == nil && !c.Bool("quiet") {
			terminal.NewConsole(c.App.ErrWriter).Say("%s was handed over to %s, and is removed there by the engine's own commands", terminal.Short(r.Manifest), Place(r))
		}
		return nil
	}
	e, err := open(c, r)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, e) }()
	taken, err := e.Take(c.Context, store, r.Manifest, still)
	if err != nil {
		return &engineError{err}
	}
	if !c.Bool("quiet") && len(taken) == 0 && still == nil {
		terminal.NewConsole(c.App.ErrWriter).Say("nothing of %s in %s is this store's", terminal.Short(r.Manifest), Place(r))
	}
	if !c.Bool("quiet") && len(taken) > 0 {
		terminal.NewConsole(c.App.ErrWriter).Say("took %q from containerd's namespace %s (%s)", taken, r.Namespace, r.Address)
	}
	return nil
}

// TakeUnwanted takes back what the store no longer has, what was never given to the
// end, and what pulls that died have left in engines. An engine that is not there keeps
// it until the next time.
func TakeUnwanted(c *cli.Context, store *overlaystore.Store) error {
	// A process that gives an image holds the records. So a record that is not complete
	// now was left by a process that died.
	records, err := given.Open(c.Context, store.Dir())
	if err != nil {
		return err
	}
	_, dead, deadErr := records.Living(c.Context)
	list, err := given.List(store.Dir())
	if err := errors.Join(deadErr, err, records.Close()); err != nil {
		return err
	}
	var errs []error
	cleared := map[string]bool{} // by the engine's place
	clearOnce := func(r given.Record) error {
		if cleared[Place(r)] {
			return nil
		}
		cleared[Place(r)] = true
		return clearOne(c, store, r)
	}
	for _, d := range dead {
		errs = append(errs, later(c, clearOnce(given.Record{Kind: given.Containerd, Address: d.Address, Namespace: d.Namespace, Snapshotter: d.Snapshotter})))
	}
	for _, r := range list {
		still := func(complete bool) (bool, error) { return isUnwanted(store, r.Manifest, complete) }
		if r.HandedOver && r.Again { // given once more, and that was interrupted
			errs = append(errs, later(c, takeOne(c, store, r, still)))
		}
		if r.HandedOver {
			errs = append(errs, awayIsFine(clearOnce(r)), endRepair(c, store, r), forget(c, store, r))
			continue
		}
		is, err := isUnwanted(store, r.Manifest, r.Complete)
		switch {
		case is:
			err = later(c, takeOne(c, store, r, still))
		case r.Again:
			err = errors.Join(err, later(c, clearOnce(r)))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// isUnwanted says that an image was never given to the end, or that the store no longer
// has it.
func isUnwanted(store *overlaystore.Store, manifest digest.Digest, complete bool) (bool, error) {
	_, err := store.Image(manifest)
	if errors.Is(err, overlaystore.ErrNotFound) {
		return true, nil
	}
	return err == nil && !complete, err
}

// clearOne ends in the engine of a record what givings that died have left.
func clearOne(c *cli.Context, store *overlaystore.Store, r given.Record) (err error) {
	e, err := open(c, r)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, e) }()
	return e.Clear(c.Context, store)
}

// awayIsFine returns nil for the error that an engine cannot be reached.
func awayIsFine(err error) error {
	if errors.Is(err, errkind.Network) {
		return nil
	}
	return err
}

// forget removes the record of an image that was handed over if its engine no longer has
// it.
func forget(c *cli.Context, store *overlaystore.Store, r given.Record) (err error) {
	has, err := isThere(c, r)
	if has || err != nil {
		return awayIsFine(err)
	}
	records, err := given.Open(c.Context, store.Dir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	// It may have been given once more since the engine was asked.
	list, err := given.List(store.Dir())
	now, there := r.Of(list)
	if !there || !now.HandedOver {
		return err
	}
	if has, err = isThere(c, now); has || err != nil {
		return awayIsFine(err)
	}
	return records.Forget(c.Context, store.Dir(), now)
}

// open connects to the engine of a record.
func open(c *cli.Context, r given.Record) (*containerd.Engine, error) {
	e, err := containerd.Connect(c.Context, containerd.Options{Address: r.Address, Namespace: r.Namespace, Snapshotter: r.Snapshotter, Logger: setup.Logger(c)})
	if err != nil {
		return nil, &engineError{err}
	}
	return e, nil
}

// TakeRemoved takes back an image whose last reference is gone, unless somebody has
// pulled it again. What an engine that is not there has the next prune takes.
func TakeRemoved(c *cli.Context, store *overlaystore.Store, manifest digest.Digest) error {
	return later(c, take(c, store, manifest, func(bool) (bool, error) {
		images, err := store.Images()
		named := slices.ContainsFunc(images, func(i overlaystore.Image) bool { return i.Manifest == manifest && len(i.Refs) > 0 })
		if errors.Is(err, overlaystore.ErrDamaged) {
			err = nil // by another record
		}
		return !named, err
	}))
}

// later turns the error that an engine cannot be reached into a warning: the next prune
// takes the image back.
func later(c *cli.Context, err error) error {
	if !errors.Is(err, errkind.Network) {
		return err
	}
	terminal.NewConsole(c.App.ErrWriter).Warn("%v; a later prune takes back what it has", err)
	return nil
}
