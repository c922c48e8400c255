// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/engine/containerd/internal/lease"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// Image is an image of a store and its documents, to be given.
type Image struct {
	overlaystore.Image
	// Names are the names that the image gets in the engine, as its clients write
	// them: "docker.io/library/alpine:3.20". There must be one at least.
	Names []string
	// Root is what the names mean: the index that lists the image's manifest, or the
	// manifest itself.
	Root ocispec.Descriptor
	// RootBytes, ManifestBytes and ConfigBytes are the exact bytes.
	RootBytes, ManifestBytes, ConfigBytes []byte
	// Blobs calls use with each compressed layer. nil leaves the blobs out, as an
	// engine does that discards blobs once they are unpacked: then the engine cannot
	// push or save the image.
	Blobs func(ctx context.Context, use func(ocispec.Descriptor, io.Reader) error) error
	// Reference and ReferencePlatform say how the image was pulled, for a repair of an
	// image that was handed over.
	Reference, ReferencePlatform string
	// OriginHost and OriginRepository are where the image came from, for the label
	// by which the engine finds registries that have a layer; "" sets no label.
	OriginHost, OriginRepository string
}

// RootNamesIt reports whether Root is the image's manifest or an index that lists
// it. Engines do not look into nested indexes.
func (i Image) RootNamesIt() bool {
	if i.Root.Digest == i.Image.Manifest {
		return true
	}
	_, err := entryOf(i.RootBytes, i.Image.Manifest)
	return err == nil
}

// GiveOptions say how an image is given. The zero value pins it.
type GiveOptions struct {
	// HandOver gives the image to the engine for good: it is not pinned, the engine's
	// collector may remove it, and Take leaves it. The caller removes the store's
	// reference; [Engine.Verify] then checks the engine's own files.
	HandOver bool
	// From is a store with the image's layers as directories, needed where the store
	// keeps them as tars; nil is the store itself.
	From *overlaystore.Store
	// Unlinked makes no hard links to files of the store: it clones them, or copies
	// them where the filesystem cannot clone.
	Unlinked bool
	// Ahead has given layers while the image was pulled; Give waits until it is done.
	// nil is none.
	Ahead *Ahead
}

// Given is what [Engine.Give] did.
type Given struct {
	Engine, Namespace string
	Names             []string
	// Layers counts the image's layers, Made the snapshots that were made; the engine
	// had the other layers.
	Layers, Made int
	// Links, Clones and Copies count files, Bytes the contents of the copies.
	Links, Clones, Copies, Bytes int64
	// Reason is why files were not linked; nil where all were.
	Reason error
	// Foreign are names that another client has given the same image, perhaps another
	// store. They are left alone: nothing pins them for this store, and Take leaves them.
	Foreign []string
}

// Give gives img to the engine. After an error no name in the engine means an
// incomplete image, and Give or Take may be called again. The store must have the
// layers that the engine lacks. Sometimes it must have others, too; the error is a
// [NeedsError] then.
func (e *Engine) Give(ctx context.Context, store *overlaystore.Store, img Image, o GiveOptions) (Given, error) {
	g := &giving{Engine: e, store: store, from: cmp.Or(o.From, store), image: img, options: o, copier: linkedcopy.New(linkedcopy.Options{Unlinked: o.Unlinked}), open: lowers{}}
	if err := g.give(ctx); err != nil {
		return Given{}, fmt.Errorf("give %s to %s: %w", img.Names, e.at.Address, err)
	}
	done := g.done()
	return Given{
		Engine: e.at.Address, Namespace: e.at.Namespace, Names: img.Names,
		Layers: len(img.Layers), Made: g.made,
		Links: done.Links, Clones: done.Clones, Copies: done.Copies, Bytes: done.Bytes, Reason: cmp.Or(done.Reason, g.unlinked), Foreign: g.foreign,
	}, nil
}

// giving is the work of giving one image to the engine.
type giving struct {
	*Engine
	store    *overlaystore.Store
	from     *overlaystore.Store // has the layers as directories
	image    Image
	options  GiveOptions
	copier   *linkedcopy.Copier
	unlinked error  // why probeFiles found that nothing may be linked
	others   bool   // the engine has unpacked lower layers itself (erofs)
	probed   bool   // probeFiles was done
	owner    string // the store's path, the value of ownerLabel
	open     lowers
	since    *os.File       // the store's directory, opened before the layers were written; nil where these are durable
	syncs    *durable.Syncs // of since
	lease    string
	made     int             // snapshots
	ahead    linkedcopy.Done // what Ahead did
	written  []digest.Digest // compressed layers, the lowest first
	before   []given.Name    // names that the image has beside the new ones
	foreign  []string        // names of the image that another client has made
}

// done returns what was linked and copied, by Ahead too.
func (g *giving) done() linkedcopy.Done { return g.ahead.Plus(g.copier.Done()) }

func (g *giving) give(ctx context.Context) (err error) {
	if err := g.Serves(g.from); err != nil {
		return err
	}
	records, owner, err := g.openGiven(ctx, g.store, given.Open)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	g.owner = owner
	layers, err := g.store.Lease(ctx, "give to "+g.at.Address, g.image.Layers...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.open.close(), layers.Release()) }()
	// Refuse names of other clients and too many layers before anything is done.
	if err := errors.Join(g.checkNames(ctx), g.Admit(ctx, g.image.Layers)); err != nil {
		return err
	}
	record, err := g.record()
	if err == nil {
		err = g.continues(ctx, &record)
	}
	if err != nil {
		return err
	}
	g.before = record.Before
	if err := records.Put(ctx, record); err != nil {
		return err
	}
	if err := g.leased(ctx); err != nil {
		return err
	}
	return g.recordComplete(ctx, records, record)
}

// recordComplete marks the record as that of an image that the engine has whole, and keeps
// what [Engine.Verify] needs.
func (g *giving) recordComplete(ctx context.Context, records *given.Records, record given.Record) (err error) {
	if g.options.HandOver && !g.erofs() {
		if err := g.keepJournals(ctx, records); err != nil {
			return err
		}
	}
	if record.Merged, err = g.mergedDigest(); err != nil {
		return err
	}
	record.Complete, record.Again, record.HandedOver, record.Copied = true, false, g.options.HandOver, g.done().Bytes
	return records.Put(ctx, record)
}

// keepJournals keeps the layers' journals for the time when the store no longer has
// the layers.
func (g *giving) keepJournals(ctx context.Context, records *given.Records) error {
	for i, diffID := range g.image.Layers {
		at, err := g.lowerPath(ctx, i)
		if errors.Is(err, overlaystore.ErrNotFound) {
			continue // the engine had it before, so it was not fetched
		}
		if err != nil {
			return err
		}
		dir, err := durable.OpenDirAt(g.from.Dir(), path.Dir(at))
		if err != nil {
			return err
		}
		if err := errors.Join(records.KeepJournal(ctx, diffID, dir), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (g *giving) record() (given.Record, error) {
	r := given.Record{
		Kind: given.Containerd, Address: g.at.Address, Namespace: g.at.Namespace,
		Manifest: g.image.Image.Manifest, Root: g.image.Root.Digest, Config: g.image.Image.Config,
		Names: g.names(), Layers: g.image.Layers, Reference: g.image.Reference, Platform: g.image.ReferencePlatform, Time: time.Now().UTC().Truncate(time.Second),
	}
	if !g.erofs() {
		return r, nil
	}
	r.Snapshotter = Erofs
	for _, diffID := range g.image.Layers {
		rec, err := g.store.Layer(diffID)
		if err != nil {
			return r, err
		}
		r.Sizes = append(r.Sizes, rec.Size)
	}
	return r, nil
}

// continues adds to a record what an earlier one of the same image says: that the
// engine has the image, whatever becomes of this giving, and names of it that this
// one does not make.
func (g *giving) continues(ctx context.Context, r *given.Record) error {
	old, there, err := given.Find(g.store.Dir(), *r)
	if err != nil || !there {
		return err
	}
	for _, n := range old.AllNames() {
		if slices.Contains(r.Names, n.Name) {
			continue
		}
		ours, err := g.isOurs(ctx, g.owner, n)
		if err != nil {
			return err
		}
		if ours || old.HandedOver && !g.options.HandOver {
			r.Before = append(r.Before, n)
		}
	}
	if old.Complete && old.Snapshotter == r.Snapshotter {
		r.Complete, r.Again, r.HandedOver, r.Copied, r.Merged = true, true, old.HandedOver, old.Copied, old.Merged
	}
	return nil
}

// Serves returns [ErrUnsupported] for a store whose files the engine would not
// understand.
func (e *Engine) Serves(store *overlaystore.Store) error {
	f := store.Format().OrDefaults()
	switch {
	case e.erofs() && f.Lower != layer.Tars:
		return fmt.Errorf("store %q %w: the snapshotter erofs takes layers as files, as a store of tars keeps them, and this one has directories", store.Path(), ErrUnsupported)
	case e.erofs() && os.Geteuid() == 0:
		return nil
	case store.Format().Lower == layer.Tars:
		return fmt.Errorf("store %q %w: it keeps layers as tars; take the image and give it again", store.Path(), ErrUnsupported)
	case os.Geteuid() != 0:
		return fmt.Errorf("store %q %w: only root gives files to containerd", store.Path(), ErrUnsupported)
	case f.IDs != layer.HostIDs:
		return fmt.Errorf("store %q %w: its files belong to other users than the image says; root's own store has them right", store.Path(), ErrUnsupported)
	case f.Whiteouts != layer.CharDevices || f.Xattrs != layer.TrustedXattrs:
		return fmt.Errorf("store %q %w: deleted names are in another form there; a store on a filesystem such as ext4 or xfs has them right", store.Path(), ErrUnsupported)
	}
	return nil
}

// leased gives the image under a lease, which keeps the engine's collector from
// removing what is made until the names do.
func (g *giving) leased(ctx context.Context) (err error) {
	g.lease = lease.NewID()
	if err := g.takeLease(ctx); err != nil {
		return err
	}
	defer func() {
		// After an error the collector then removes what was made.
		if end := g.leases.End(ctx, g.lease); err == nil {
			err = end
		}
	}()
	// Layers come late, for Ahead may still be at work on them.
	for _, step := range []func(context.Context) error{g.blobs, g.documents, g.settle, g.layers, g.name} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ownerLabel is on everything that is made in the engine. Its value is the path of
// the store from which that came.
const ownerLabel = "io.github.layerctl/store"

// Clear ends the leases of the store's givings that died. [Engine.Give] does so
// first; Clear is for an image that the engine has already. It does nothing while
// another process gives or takes, which may take long.
func (e *Engine) Clear(ctx context.Context, store *overlaystore.Store) error {
	records, _, err := e.openGiven(ctx, store, given.TryOpen)
	if records != nil {
		err = records.Close()
	}
	return err
}

// openGiven opens the store's records of what was given, under their lock, and ends
// the leases of the store's givings that died. owner is the value of ownerLabel.
func (e *Engine) openGiven(ctx context.Context, store *overlaystore.Store, open func(context.Context, *os.File) (*given.Records, error)) (_ *given.Records, owner string, err error) {
	if owner, err = store.RealPath(); err != nil {
		return nil, "", err
	}
	records, err := open(ctx, store.Dir())
	if err != nil || records == nil {
		return nil, "", err
	}
	if err := e.clear(ctx, owner, records); err != nil {
		return nil, "", errors.Join(fmt.Errorf("end leases in %s: %w", e.at.Address, err), records.Close())
	}
	return records, owner, nil
}

// clear ends the leases of givings that died: those that are not marked as in use by
// an Ahead or a Held, for any other giving would hold the lock of the records.
func (e *Engine) clear(ctx context.Context, owner string, records *given.Records) error {
	// The engine goes on with the last call of a giving that was killed. Deleting a
	// lease, even one that does not exist, waits for that call.
	if err := e.leases.Collect(ctx, lease.NewID()); err != nil {
		return err
	}
	// The leases before the marks: each lease has its mark before it is taken, and
	// until it has ended.
	owned, err := e.leases.Labelled(ctx, ownerLabel, owner)
	if err != nil {
		return err
	}
	living, dead, err := records.Living(ctx)
	if err != nil {
		return err
	}
	end := func(id string) error {
		e.log.Info("end the lease of a giving that was interrupted", "lease", id)
		// After a power cut an engine may list a blob whose bytes it has lost, and
		// refuses to take it again before that is removed.
		return e.leases.Collect(ctx, id)
	}
	for _, id := range owned {
		if !living[id] {
			if err := end(id); err != nil {
				return err
			}
		}
	}
	return records.End(ctx, dead, e.where(), end) // a lease that was taken after the list was made
}

// where is the place of the leases, for [given.Begin].
func (e *Engine) where() given.Place {
	return given.Place{Address: e.at.Address, Namespace: e.at.Namespace, Snapshotter: e.at.Snapshotter}
}

// takeLease takes the lease, with the label by which it is known as the store's.
func (g *giving) takeLease(ctx context.Context) error {
	return g.leases.Take(ctx, g.lease, map[string]string{ownerLabel: g.owner})
}

// chainIDs returns the chainID of each layer.
func chainIDs(layers []digest.Digest) []digest.Digest {
	return identity.ChainIDs(slices.Clone(layers))
}

var errNoName = errkind.New(errkind.Usage, "the image has no name that the engine could list it by")
