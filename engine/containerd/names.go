// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	images "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaystore"
)

// The labels that the CRI plugin reads, from internal/cri/labels.
const (
	managedLabel = "io.cri-containerd.image"
	pinnedLabel  = "io.cri-containerd.pinned"
)

// names returns the names of the records to make, in that order. In the namespace of
// Kubernetes the config's digest is one, too, for CRI calls images so.
func (g *giving) names() []string {
	var list []string
	if g.at.Namespace == kubernetes {
		list = append(list, g.image.Image.Config.String())
	}
	return append(list, g.image.Names...)
}

// labels returns the labels of a record. An empty value removes a label.
func (g *giving) labels() map[string]string {
	labels := map[string]string{ownerLabel: g.owner, pinnedLabel: "pinned"}
	if g.options.HandOver {
		labels = map[string]string{ownerLabel: "", pinnedLabel: ""}
	}
	if g.at.Namespace == kubernetes {
		labels[managedLabel] = "managed"
	}
	return labels
}

// checkNames refuses names that another client made for another image.
func (g *giving) checkNames(ctx context.Context) error {
	if len(g.image.Names) == 0 {
		return errNoName
	}
	for _, name := range g.names() {
		there, err := g.images.Get(ctx, name)
		if err != nil {
			return err
		}
		if err := g.refuse(name, there); err != nil {
			return err
		}
	}
	return nil
}

func (g *giving) refuse(name string, there *images.Image) error {
	if there == nil || there.Labels[ownerLabel] == g.owner || there.Target.GetDigest() == g.image.Root.Digest.String() {
		return nil
	}
	return fmt.Errorf("the name %q %w, and is %s there: remove it in the engine first", name, errForeign, there.Target.GetDigest())
}

// name makes the records, by which the engine lists the image. What it was named
// before is the engine's, too, where it is handed over.
func (g *giving) name(ctx context.Context) error {
	for _, name := range g.names() {
		if err := g.nameOne(ctx, name); err != nil {
			return fmt.Errorf("name %q: %w", name, err)
		}
	}
	for _, n := range g.before {
		if !g.options.HandOver {
			break
		}
		if err := g.images.Label(ctx, n.Name, g.labels()); err != nil {
			return fmt.Errorf("name %q: %w", n.Name, err)
		}
	}
	return nil
}

func (g *giving) nameOne(ctx context.Context, name string) error {
	image := &images.Image{Name: name, Labels: g.labels(), Target: &types.Descriptor{
		MediaType: cmp.Or(g.image.Root.MediaType, ocispec.MediaTypeImageIndex), Digest: g.image.Root.Digest.String(), Size: g.image.Root.Size,
	}}
	if made, err := g.images.Make(ctx, g.lease, image); made || err != nil {
		return err
	}
	there, err := g.images.Get(ctx, name)
	if err == nil && there == nil { // another client has removed it since
		return g.nameOne(ctx, name)
	}
	if err = cmp.Or(err, g.refuse(name, there)); err != nil {
		return err
	}
	if there.Labels[ownerLabel] != g.owner {
		g.foreign = append(g.foreign, name) // and the same image
		return nil
	}
	return g.images.Move(ctx, g.lease, image)
}

// Take removes the names that the store has given an image in this engine, and
// returns those that were there. The engine's collector takes the rest, unless
// something else needs it. An image that was not given, or was handed over, is no error.
//
// Take waits for what others give to this engine. Then it calls still, unless that is
// nil, with whether the image was given to the end, and takes it only if still returns
// true.
func (e *Engine) Take(ctx context.Context, store *overlaystore.Store, manifest digest.Digest, still func(complete bool) (bool, error)) (taken []string, err error) {
	taken, err = e.take(ctx, store, manifest, still)
	if err != nil {
		return taken, fmt.Errorf("take %s from %s: %w", manifest, e.at.Address, err)
	}
	return taken, nil
}

func (e *Engine) take(ctx context.Context, store *overlaystore.Store, manifest digest.Digest, still func(complete bool) (bool, error)) (taken []string, err error) {
	records, owner, err := e.openGiven(ctx, store, given.Open)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	list, err := given.List(store.Dir())
	if err != nil {
		return nil, err
	}
	r, there := given.Record{Kind: given.Containerd, Address: e.at.Address, Namespace: e.at.Namespace, Manifest: manifest}.Of(list)
	if there && still != nil {
		there, err = still(r.Complete && !r.HandedOver)
	}
	if err != nil || !there || r.HandedOver && !r.Again {
		return nil, err
	}
	names := slices.DeleteFunc(r.AllNames(), func(n given.Name) bool { return shared(list, r, n) })
	r.Complete = r.HandedOver // a prune ends what is interrupted
	if err := records.Put(ctx, r); err != nil {
		return nil, err
	}
	if taken, err = e.unname(ctx, owner, names); err != nil {
		return taken, err
	}
	if r.Again = false; r.HandedOver {
		return taken, records.Put(ctx, r)
	}
	return taken, records.Forget(ctx, store.Dir(), r)
}

// shared reports whether another image that was given to the same engine has the
// name, too: one of the same index, for another platform.
func shared(list []given.Record, r given.Record, name given.Name) bool {
	return slices.ContainsFunc(list, func(other given.Record) bool {
		return other.Kind == r.Kind && other.Address == r.Address && other.Namespace == r.Namespace &&
			other.Manifest != r.Manifest && other.Complete && slices.Contains(other.AllNames(), name)
	})
}

// isOurs reports whether a name is one that the store has made and nobody has changed.
func (e *Engine) isOurs(ctx context.Context, owner string, n given.Name) (bool, error) {
	there, err := e.images.Get(ctx, n.Name)
	return there != nil && there.Labels[ownerLabel] == owner && there.Target.GetDigest() == n.Root.String(), err
}

// unname removes those names that the store has made, the last made first.
func (e *Engine) unname(ctx context.Context, owner string, names []given.Name) (taken []string, err error) {
	for i, n := range slices.Backward(names) {
		ours, err := e.isOurs(ctx, owner, n)
		if err != nil {
			return taken, err
		}
		if !ours {
			continue
		}
		// The last one waits until the collector has removed the image.
		if err := e.images.Remove(ctx, n.Name, i == 0); err != nil {
			return taken, err
		}
		taken = append(taken, n.Name)
	}
	return taken, nil
}
