// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/recast"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// Giver gives images of a store to an engine.
type Giver struct {
	c      *cli.Context
	engine engine
	store  *overlaystore.Store
	ahead  *containerd.Ahead // layers of the image that is being pulled, given ahead; nil for none
	held   held              // layers that the engine has
}

// engine is an engine that images are given to.
type engine interface {
	// admit fails if the engine could not run an image of these layers.
	admit(ctx context.Context, layers []digest.Digest) error
	// has says whether the engine has an image that was handed over to it under
	// that name, and as what platform that was pulled; "" is not known.
	has(context.Context, layerctl.Resolution, registry.Reference) (has bool, platform string, err error)
	// clear ends in the engine what givings that died have left.
	clear(context.Context) error
	give(context.Context, gift) error
	Close() error
}

// gift is an image to give, with its documents.
type gift struct {
	image     overlaystore.Image
	ref, name registry.Reference // where it came from, and its name in the engine
	documents layerctl.Documents
	// namesIt says that the root of the documents is the manifest, or an index
	// that names it, and no index of indexes.
	namesIt bool
	// beside has the layers as directories; nil if the store itself has.
	beside *recast.Beside
	// ahead has given layers of the image already; nil if there are none.
	ahead *containerd.Ahead
	// blobs calls a function with each compressed layer; nil if they are not wanted.
	blobs func(context.Context, func(ocispec.Descriptor, io.Reader) error) error
}

// NewGiver connects to the engine of --into, before anything is fetched for it. Without
// --into it returns nil, a Giver that does nothing.
func NewGiver(c *cli.Context, store *overlaystore.Store) (*Giver, error) {
	if c.String("into") == "" {
		return nil, nil
	}
	return OpenGiver(c, store, c.String("into"))
}

// OpenGiver connects to the engine that into names, as --into does.
func OpenGiver(c *cli.Context, store *overlaystore.Store, into string) (*Giver, error) {
	if c.Bool("no-sync") {
		return nil, &args.UsageError{Problem: "--no-sync and --into do not go together", Advice: "an engine takes for good what it is told once"}
	}
	engine, err := reach(c, store, into)
	if err != nil {
		return nil, err
	}
	return &Giver{c: c, engine: engine, store: store}, nil
}

// reach opens the engine that into names.
func reach(c *cli.Context, store *overlaystore.Store, into string) (engine, error) {
	if dir, is, err := storageDir(into, store); is || err != nil {
		if err != nil {
			return nil, err
		}
		return openStorage(c, store, dir, false)
	}
	e, err := connect(c, into)
	if err != nil {
		return nil, err
	}
	return &daemon{c, store, e}, nil
}

// Close ends the connection.
func (g *Giver) Close() error {
	if g == nil {
		return nil
	}
	return errors.Join(g.end(), g.engine.Close())
}

// end ends what [Giver.Begin] has begun.
func (g *Giver) end() error {
	ahead := g.ahead
	g.ahead = nil
	return errors.Join(ahead.End(g.c.Context), g.release())
}

// Ahead is an option by which the engine gets layers of an image while others are still
// fetched.
func (g *Giver) Ahead() setup.Option {
	return func(o *layerctl.Options) {
		if g != nil {
			o.Layers = g.Begin
		}
	}
}

// Begin is called with the layers of an image before they are fetched. By the taker that it
// returns, the engine gets layers while others are still fetched.
func (g *Giver) Begin(_ context.Context, layers []digest.Digest) (t layerctl.Taker, err error) {
	g.End()
	d, ok := g.engine.(*daemon)
	if !ok {
		return t, nil
	}
	if t.Elsewhere, err = g.hold(d.engine, layers); err != nil {
		return t, &engineError{err}
	}
	g.ahead = d.engine.Ahead(g.c.Context, g.store, layers)
	if g.ahead != nil {
		t.Came, t.All, t.Sync = g.ahead.Ready, g.ahead.Filled, g.ahead.Sync
	}
	return t, nil
}

// End ends what [Giver.Begin] has begun, for an image whose pull has failed.
func (g *Giver) End() {
	if err := g.end(); err != nil {
		setup.Logger(g.c).Info("end what was given ahead", "error", err)
	}
}

// Give gives img, which ref names, with the documents that client reads.
func (g *Giver) Give(client *layerctl.Client, ref string, img overlaystore.Image, root digest.Digest) error {
	if g == nil {
		return nil
	}
	return g.GiveAs(client, ref, g.c.String("engine-name"), img, root)
}

// GiveAs is [Giver.Give] under the name word; "" means the reference's.
func (g *Giver) GiveAs(client *layerctl.Client, ref, word string, img overlaystore.Image, root digest.Digest) (err error) {
	parsed, err := registry.Parse(ref)
	if err != nil {
		return err
	}
	d, err := g.documents(client, parsed, img, root)
	if err != nil {
		return err
	}
	name, err := nameIn(word, parsed)
	if err != nil {
		return err
	}
	found := gift{image: img, ref: parsed, name: name, documents: d, ahead: g.ahead}
	if g.c.Bool("keep-blobs") {
		found.blobs = g.blobs(client, parsed, img)
	}
	lease, beside, err := g.directories(img)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, beside.Close(), lease.Release()) }()
	found.beside = beside
	found.namesIt = containerd.Image{Image: img, Root: d.Root, RootBytes: d.RootBytes}.RootNamesIt()
	if err := errors.Join(g.engine.give(g.c.Context, found), g.end()); err != nil {
		return err
	}
	if g.HandsOver() {
		return g.forget(parsed, img)
	}
	return nil
}

// directories unpacks the layers of img if the store has tars and the engine needs
// directories. It returns a lease on the layers.
func (g *Giver) directories(img overlaystore.Image) (*overlaystore.Lease, *recast.Beside, error) {
	lease, err := g.store.Lease(g.c.Context, "make directories of "+img.Manifest.String(), img.Layers...)
	if err != nil {
		return nil, nil, err
	}
	if d, ok := g.engine.(*daemon); ok && d.engine.Snapshotter() == containerd.Erofs {
		return lease, nil, nil // it takes the tars
	}
	beside, err := recast.Directories(g.c.Context, g.store, img, nil)
	if err != nil {
		return nil, nil, errors.Join(err, lease.Release())
	}
	return lease, beside, nil
}

// blobs returns a function that reads the compressed layers of img.
func (g *Giver) blobs(client *layerctl.Client, ref registry.Reference, img overlaystore.Image) func(context.Context, func(ocispec.Descriptor, io.Reader) error) error {
	if img.Platform.OS != "" {
		client = client.For(platform.Format(img.Platform))
	}
	if ref.Transport() == registry.Docker {
		ref = ref.WithDigest(img.Manifest)
	}
	return func(ctx context.Context, use func(ocispec.Descriptor, io.Reader) error) error {
		return client.Blobs(ctx, g.store, ref.String(), use)
	}
}

// Admit is an option that refuses images which the engine could not run, before a layer of
// them is fetched. An image to hand over that the engine has already fails with [ErrHas].
func (g *Giver) Admit() setup.Option {
	return func(o *layerctl.Options) {
		if g == nil {
			return
		}
		o.Admit = func(ctx context.Context, r layerctl.Resolution, layers []digest.Digest) error {
			if g.HandsOver() {
				if has, err := g.had(r); err != nil || has {
					return cmp.Or(err, ErrHas)
				}
			}
			return g.engine.admit(ctx, layers)
		}
	}
}

// ErrHas says that the engine already has the image to hand over, so that nothing need be
// fetched.
var ErrHas = errors.New("the engine has it already")

// had says whether the engine has an image that was handed over to it. The store
// forgets it then, and the engine keeps nothing for pulls that died: that which
// handed it over may have died before. What cannot be ended so a prune ends.
func (g *Giver) had(resolved layerctl.Resolution) (bool, error) {
	name, err := nameIn(g.c.String("engine-name"), resolved.Reference)
	if err != nil {
		return false, err
	}
	has, word, err := g.engine.has(g.c.Context, resolved, name)
	if err != nil || !has {
		return false, err
	}
	if err := g.engine.clear(g.c.Context); err != nil {
		setup.Logger(g.c).Warn("end what givings that died have left", "error", err)
	}
	err = g.forgetAs(word, resolved)
	if errors.Is(err, overlaystore.ErrBusy) {
		setup.Logger(g.c).Info("the store keeps what the engine has", "error", err)
		err = nil
	}
	return true, err
}

// forgetAs is forget of what was pulled as a platform; where that is not known what
// the name meant before stays.
func (g *Giver) forgetAs(word string, resolved layerctl.Resolution) error {
	manifest := resolved.Manifest.Digest
	of, err := platform.Parse(word)
	if err == nil {
		return g.forget(resolved.Reference, overlaystore.Image{Manifest: manifest, Platform: of})
	}
	setup.Logger(g.c).Info("forget only the image that was handed over", "platform", word, "error", err)
	err = g.store.Remove(g.c.Context, resolved.Reference.String(), manifest)
	if errors.Is(err, overlaystore.ErrNotFound) {
		return nil
	}
	return err
}

// HandsOver reports whether the store forgets an image that was given (--hand-over).
func (g *Giver) HandsOver() bool { return g != nil && g.c.Bool("hand-over") }

// documents reads the documents of img: by ref, if that still names img, or else by its
// digest.
func (g *Giver) documents(client *layerctl.Client, ref registry.Reference, img overlaystore.Image, root digest.Digest) (layerctl.Documents, error) {
	if img.Platform.OS != "" {
		client = client.For(platform.Format(img.Platform))
	}
	tries := []string{ref.String()}
	if ref.Transport() == registry.Docker {
		tries = append(tries, ref.WithDigest(img.Manifest).String())
		if root != "" {
			tries[0] = ref.WithDigest(root).String()
		}
	}
	var errs []error
	for _, try := range tries {
		d, err := client.Documents(g.c.Context, try)
		if err == nil && d.Manifest.Digest != img.Manifest {
			err = fmt.Errorf("%s is another image now than the store has; pull it again", try)
		}
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	return layerctl.Documents{}, errors.Join(errs...)
}

// nameIn returns the image's name in the engine: word, a name with a tag, or if that is ""
// the reference.
func nameIn(word string, ref registry.Reference) (registry.Reference, error) {
	if word == "" {
		if ref.Transport() == registry.Docker {
			return ref, nil
		}
		return ref, &args.UsageError{Problem: fmt.Sprintf("an engine has no name for %s", ref), Advice: "--engine-name NAME:TAG gives it one"}
	}
	named, err := registry.Parse(word)
	if err == nil && (named.Transport() != registry.Docker || named.Tag() == "") {
		err = &args.UsageError{Problem: fmt.Sprintf("--engine-name %q is no name with a tag", word)}
	}
	return named, err
}

// daemon is a containerd, also that of k3s, RKE2 or Docker.
type daemon struct {
	c      *cli.Context
	store  *overlaystore.Store
	engine *containerd.Engine
}

// Close ends the connection.
func (d *daemon) Close() error { return d.engine.Close() }

func (d *daemon) admit(ctx context.Context, layers []digest.Digest) error {
	err := d.engine.Admit(ctx, layers)
	if err == nil && d.engine.Snapshotter() == containerd.Erofs { // for another they would be unpacked
		err = d.engine.Serves(d.store)
	}
	if err != nil {
		return &engineError{err}
	}
	return nil
}

func (d *daemon) clear(ctx context.Context) error { return d.engine.Clear(ctx, d.store) }

func (d *daemon) has(ctx context.Context, resolved layerctl.Resolution, name registry.Reference) (has bool, platform string, err error) {
	list, err := given.List(d.store.Dir())
	if err != nil {
		return false, "", err
	}
	for _, r := range list {
		if r.HandedOver && r.Complete && r.Manifest == resolved.Manifest.Digest && r.Root == resolved.Root.Digest &&
			r.Address == d.engine.Address() && r.Namespace == d.engine.Namespace() {
			names := d.names(name, r.Root)
			has, err := d.engine.Has(ctx, []containerd.Name{{Name: names[len(names)-1], Root: r.Root}}, r.Layers)
			return has, r.Platform, err
		}
	}
	return false, "", nil
}

func (d *daemon) give(ctx context.Context, g gift) error {
	image := containerd.Image{
		Image: g.image, Root: g.documents.Root, RootBytes: g.documents.RootBytes,
		ManifestBytes: g.documents.ManifestBytes, ConfigBytes: g.documents.ConfigBytes,
		Blobs: g.blobs, Reference: g.ref.String(), ReferencePlatform: platform.Format(g.image.Platform),
	}
	if !g.namesIt {
		// An index of indexes, which engines do not follow.
		image.Root, image.RootBytes = g.documents.Manifest, g.documents.ManifestBytes
	}
	image.Names = d.names(g.name, image.Root.Digest)
	if g.ref.Transport() == registry.Docker {
		image.OriginHost, image.OriginRepository = g.ref.Host(), g.ref.Repository()
	}
	done, err := d.engine.Give(ctx, d.store, image, containerd.GiveOptions{HandOver: d.c.Bool("hand-over"), From: g.from(), Ahead: g.ahead})
	if err != nil {
		return &engineError{err}
	}
	d.tell(g.name, done)
	return nil
}

// from returns the temporary store of directories, if there is one.
func (g gift) from() *overlaystore.Store {
	if g.beside == nil {
		return nil
	}
	return g.beside.Store
}

// names returns the names of the image in the engine. The tag is last, because a client
// that sees it takes the image for complete.
func (d *daemon) names(name registry.Reference, root digest.Digest) []string {
	var list []string
	if d.engine.Namespace() == "k8s.io" || name.Tag() == "" {
		list = append(list, name.WithDigest(root).String())
	}
	if name.Tag() != "" {
		list = append(list, name.Tagged().String())
	}
	return list
}

// tell prints what was done, and how much was copied.
func (d *daemon) tell(name registry.Reference, done containerd.Given) {
	if d.c.Bool("quiet") {
		return
	}
	console := terminal.NewConsole(d.c.App.ErrWriter)
	console.Say("%s is in containerd's namespace %s (%s), with %d of %s new there", name, done.Namespace, done.Engine, done.Made, terminal.Count(done.Layers, "layer"))
	tellCopies(console, done.Clones, done.Copies, done.Bytes, done.Reason)
	if len(done.Foreign) > 0 && !d.c.Bool("hand-over") {
		console.Warn("another client made %q and may remove them; this store does not pin them", done.Foreign)
	}
}

// tellCopies warns of files that take space a second time.
func tellCopies(console *terminal.Console, clones, copies, bytes int64, reason error) {
	if reason != nil {
		console.Warn("%d files were cloned and %d copied, %s, for they cannot be linked: %v", clones, copies, terminal.Bytes(bytes), reason)
	}
}
