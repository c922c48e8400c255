// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	images "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
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

// standing returns the image that the engine has under a name; nil for none.
func (e *Engine) standing(ctx context.Context, name string) (*images.Image, error) {
	answer, err := e.images.Get(e.in(ctx, ""), &images.GetImageRequest{Name: name})
	if failure.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.Explain(err)
	}
	return answer.Image, nil
}

// checkNames refuses names that another client made for another image.
func (g *giving) checkNames(ctx context.Context) error {
	if len(g.image.Names) == 0 {
		return errNoName
	}
	for _, name := range g.names() {
		there, err := g.standing(ctx, name)
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

// name makes the records, by which the engine lists the image.
func (g *giving) name(ctx context.Context) error {
	for _, name := range g.names() {
		if err := g.nameOne(ctx, name); err != nil {
			return fmt.Errorf("name %q: %w", name, err)
		}
	}
	return nil
}

func (g *giving) nameOne(ctx context.Context, name string) error {
	labels := g.labels()
	image := &images.Image{Name: name, Labels: labels, Target: &types.Descriptor{
		MediaType: cmp.Or(g.image.Root.MediaType, ocispec.MediaTypeImageIndex), Digest: g.image.Root.Digest.String(), Size: g.image.Root.Size,
	}}
	_, err := g.images.Create(g.in(ctx, g.lease), &images.CreateImageRequest{Image: image})
	if err == nil || !failure.IsExists(err) {
		return failure.Explain(err)
	}
	there, err := g.standing(ctx, name)
	if err != nil {
		return err
	}
	if err := g.refuse(name, there); err != nil {
		return err
	}
	if there == nil || there.Labels[ownerLabel] != g.owner {
		return nil // another client's, and the same image
	}
	paths := []string{"target"}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		paths = append(paths, "labels."+key)
	}
	_, err = g.images.Update(g.in(ctx, g.lease), &images.UpdateImageRequest{Image: image, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
	return failure.Explain(err)
}

// Take removes the names that the store has given an image in this engine, and
// returns those that were there. The engine's collector takes the rest, unless
// something else needs it. An image that was not given is no error.
func (e *Engine) Take(ctx context.Context, store *overlaystore.Store, manifest digest.Digest) (taken []string, err error) {
	taken, err = e.take(ctx, store, manifest)
	if err != nil {
		return taken, fmt.Errorf("take %s from %s: %w", manifest, e.at.Address, err)
	}
	return taken, nil
}

func (e *Engine) take(ctx context.Context, store *overlaystore.Store, manifest digest.Digest) (taken []string, err error) {
	records, owner, err := e.openGiven(ctx, store, given.Open)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	list, err := given.List(store.Dir())
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.Kind != given.Containerd || r.Address != e.at.Address || r.Namespace != e.at.Namespace || r.Manifest != manifest {
			continue
		}
		r.Names = slices.DeleteFunc(r.Names, func(name string) bool { return shared(list, r, name) })
		if taken, err = e.unname(ctx, owner, r); err != nil {
			return taken, err
		}
		return taken, records.Forget(ctx, store.Dir(), r)
	}
	return nil, nil
}

// shared reports whether another image that was given to the same engine has the
// name, too: one of the same index, for another platform.
func shared(list []given.Record, r given.Record, name string) bool {
	return slices.ContainsFunc(list, func(other given.Record) bool {
		return other.Kind == r.Kind && other.Address == r.Address && other.Namespace == r.Namespace &&
			other.Manifest != r.Manifest && other.Root == r.Root && other.Complete && slices.Contains(other.Names, name)
	})
}

// unname removes those records of the names that the store has made, the last made
// first.
func (e *Engine) unname(ctx context.Context, owner string, r given.Record) (taken []string, err error) {
	for i, name := range slices.Backward(r.Names) {
		there, err := e.standing(ctx, name)
		if err != nil {
			return taken, err
		}
		if there == nil || there.Labels[ownerLabel] != owner || there.Target.GetDigest() != r.Root.String() {
			continue
		}
		// With Sync the last one waits until the collector has removed the image.
		_, err = e.images.Delete(e.in(ctx, ""), &images.DeleteImageRequest{Name: name, Sync: i == 0})
		if err != nil && !failure.IsNotFound(err) {
			return taken, failure.Explain(err)
		}
		taken = append(taken, name)
	}
	return taken, nil
}
