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

	leases "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// Image is what is given: an image of a store and its documents.
type Image struct {
	overlaystore.Image
	// Names are those that the image gets, as the engine's clients write them:
	// "docker.io/library/alpine:3.20". At least one.
	Names []string
	// Root is what the names stand for: the index that has the image's manifest,
	// or the manifest itself.
	Root ocispec.Descriptor
	// RootBytes, ManifestBytes and ConfigBytes are the exact bytes.
	RootBytes, ManifestBytes, ConfigBytes []byte
	// Blobs hands each compressed layer to use; nil leaves them out, as an engine
	// does that discards what it has unpacked: then nobody pushes or saves the
	// image from there.
	Blobs func(ctx context.Context, use func(ocispec.Descriptor, io.Reader) error) error
	// Reference and ReferencePlatform are what it was pulled as, for a repair of
	// what was handed over.
	Reference, ReferencePlatform string
	// Origin is the host and the repository that it came from, for the label
	// by which other images find where to fetch a layer; "" says nothing.
	OriginHost, OriginRepository string
}

// RootNamesIt says whether Root is the image's manifest, or an index that names
// it: engines do not look into indexes of indexes.
func (i Image) RootNamesIt() bool {
	if i.Root.Digest == i.Image.Manifest {
		return true
	}
	_, err := entryOf(i.RootBytes, i.Image.Manifest)
	return err == nil
}

// GiveOptions say how an image is given. The zero value pins it.
type GiveOptions struct {
	// HandOver leaves the image to the engine: it is not pinned, its garbage
	// collector may remove it, and Take does nothing to it. The caller removes
	// the store's reference; [Engine.Verify] reads the engine's files then.
	HandOver bool
	// From has the image's layers as directories where the store keeps them as
	// tars; nil is the store itself.
	From *overlaystore.Store
	// Unlinked shares no file with the store, where the filesystem cannot clone
	// files not even its blocks.
	Unlinked bool
	// Ahead has given layers while the image was pulled; Give waits for it. nil
	// is none.
	Ahead *Ahead
}

// Given is what was done.
type Given struct {
	Engine, Namespace string
	Names             []string
	// Layers is how many the image has, Made how many snapshots were made; the
	// engine had the others.
	Layers, Made int
	// Links, Clones and Copies count files, Bytes the contents of the copies.
	Links, Clones, Copies, Bytes int64
	// Reason is why files were not linked; nil where all were.
	Reason error
}

// Give makes img known to the engine. Where it ends with an error nothing is
// named that is not whole, and another Give, or Take, ends well. The store must
// have the layers that the engine lacks, and may have to have others: the error is
// a [NeedsError] then.
func (e *Engine) Give(ctx context.Context, store *overlaystore.Store, img Image, o GiveOptions) (Given, error) {
	g := &giving{Engine: e, store: store, from: cmp.Or(o.From, store), image: img, options: o, copier: linkedcopy.New(linkedcopy.Options{Unlinked: o.Unlinked}), open: lowers{}}
	if err := g.give(ctx); err != nil {
		return Given{}, fmt.Errorf("give %s to %s: %w", img.Names, e.at.Address, err)
	}
	done := g.done()
	return Given{
		Engine: e.at.Address, Namespace: e.at.Namespace, Names: img.Names,
		Layers: len(img.Layers), Made: g.made,
		Links: done.Links, Clones: done.Clones, Copies: done.Copies, Bytes: done.Bytes, Reason: cmp.Or(done.Reason, g.unlinked),
	}, nil
}

// giving is one image on its way into the engine.
type giving struct {
	*Engine
	store    *overlaystore.Store
	from     *overlaystore.Store // has the layers as directories
	image    Image
	options  GiveOptions
	copier   *linkedcopy.Copier
	unlinked error  // why nothing is linked, though it could be
	others   bool   // the engine has lower layers that it has unpacked itself
	probed   bool   // the snapshotter erofs
	owner    string // the store's path, by which its records are told from others
	open     lowers
	since    *os.File // of the store, opened before what is given was written; nil where that is durable
	lease    string
	made     int
	ahead    linkedcopy.Done // what was done before
	written  []digest.Digest // compressed layers, the lowest first
}

// done is what all copies took.
func (g *giving) done() linkedcopy.Done { return g.ahead.Plus(g.copier.Done()) }

func (g *giving) give(ctx context.Context) (err error) {
	if err := g.Serves(g.from); err != nil {
		return err
	}
	records, err := g.openRecords(ctx, g.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	if g.owner, err = g.store.RealPath(); err != nil {
		return err
	}
	layers, err := g.store.Lease(ctx, "give to "+g.at.Address, g.image.Layers...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.open.close(), layers.Release()) }()
	// Before anything is done: a name that is another's ends it, and so do too
	// many layers.
	if err := errors.Join(g.checkNames(ctx), g.Admit(ctx, g.image.Layers)); err != nil {
		return err
	}
	record, err := g.record()
	if err != nil {
		return err
	}
	if err := records.Put(ctx, record); err != nil {
		return err
	}
	if err := g.leased(ctx); err != nil {
		return err
	}
	if g.options.HandOver && !g.erofs() {
		if err := g.keepJournals(ctx, records); err != nil {
			return err
		}
	}
	if record.Merged, err = g.mergedDigest(); err != nil {
		return err
	}
	record.Complete, record.HandedOver, record.Copied = true, g.options.HandOver, g.done().Bytes
	return records.Put(ctx, record)
}

// keepJournals keeps what [Engine.Verify] compares with when the store has the
// layers no longer.
func (g *giving) keepJournals(ctx context.Context, records *given.Records) error {
	for i, diffID := range g.image.Layers {
		at, err := g.lowerPath(ctx, i)
		if errors.Is(err, overlaystore.ErrNotFound) {
			continue // the engine had it, and nobody has fetched it
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

// Serves refuses a store whose files containerd would not understand.
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

// leased gives the image under a lease, which keeps the engine's collector away
// until the names do.
func (g *giving) leased(ctx context.Context) (err error) {
	g.lease = newLease()
	if err := g.takeLease(ctx); err != nil {
		return err
	}
	defer func() {
		// Also after an error: what was made goes.
		if end := g.endLease(ctx); err == nil {
			err = failure.Explain(end)
		}
	}()
	// The layers last: those that are given ahead may still be on their way.
	for _, step := range []func(context.Context) error{g.blobs, g.documents, g.settle, g.layers, g.name} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// leaseTime is after how long the engine's collector may take what a giving
// that died has left.
const leaseTime = 24 * time.Hour

// ownerLabel is on all that is made in the engine: the store that it is from.
const ownerLabel = "io.github.layerctl/store"

// Clear ends the leases of givings of the store that died, as [Engine.Give] does
// before it gives anything: for an image that the engine has already.
func (e *Engine) Clear(ctx context.Context, store *overlaystore.Store) error {
	records, err := e.openRecords(ctx, store)
	if err == nil {
		err = records.Close()
	}
	return err
}

// openRecords opens the records of a store, and ends the leases of its givings
// that died.
func (e *Engine) openRecords(ctx context.Context, store *overlaystore.Store) (*given.Records, error) {
	owner, err := store.RealPath()
	if err != nil {
		return nil, err
	}
	records, err := given.Open(ctx, store.Dir())
	if err != nil {
		return nil, err
	}
	if err := e.clear(ctx, owner, records); err != nil {
		return nil, errors.Join(fmt.Errorf("end leases in %s: %w", e.at.Address, err), records.Close())
	}
	return records, nil
}

// clear ends the leases of givings that died: no other is alive, for each holds
// the lock of the records, but for those that give ahead.
func (e *Engine) clear(ctx context.Context, owner string, records *given.Records) error {
	living, err := records.Living(ctx)
	if err != nil {
		return err
	}
	list, err := e.leases.List(e.in(ctx, ""), &leases.ListRequest{})
	if err != nil {
		return failure.Explain(err)
	}
	for _, l := range list.Leases {
		if l.Labels[ownerLabel] != owner || living[l.ID] {
			continue
		}
		e.log.Info("end the lease of a giving that was interrupted", "lease", l.ID)
		// With what it kept: an engine whose power was cut may know of a blob that it
		// has lost, and would not take it again.
		if _, err := e.leases.Delete(e.in(ctx, ""), &leases.DeleteRequest{ID: l.ID, Sync: true}); err != nil && !failure.IsNotFound(err) {
			return failure.Explain(err)
		}
	}
	return nil
}

// keep has the lease keep what the engine had before.
func (g *giving) keep(ctx context.Context, kind, id string) error {
	_, err := g.leases.AddResource(g.in(ctx, ""), &leases.AddResourceRequest{ID: g.lease, Resource: &leases.Resource{ID: id, Type: kind}})
	if err != nil && !failure.IsExists(err) {
		return failure.Explain(err)
	}
	return nil
}

// chainIDs are those of each layer with all below it.
func chainIDs(layers []digest.Digest) []digest.Digest {
	return identity.ChainIDs(slices.Clone(layers))
}

var errNoName = errkind.New(errkind.Usage, "the image has no name that the engine could list it by")
