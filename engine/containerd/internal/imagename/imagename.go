// SPDX-License-Identifier: Apache-2.0

// Package imagename has the records by which containerd lists images: names, each with
// what it means and labels.
package imagename

import (
	"context"
	"maps"
	"slices"

	images "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
)

// Client reads and writes names in one namespace of an engine.
type Client struct {
	API images.ImagesClient
	// In adds the namespace and a lease, "" for none, to the context of a call.
	In func(ctx context.Context, lease string) context.Context
}

// Get returns the record that the engine has under a name; nil if there is none.
func (c Client) Get(ctx context.Context, name string) (*images.Image, error) {
	answer, err := c.API.Get(c.In(ctx, ""), &images.GetImageRequest{Name: name})
	if failure.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.Explain(err)
	}
	return answer.Image, nil
}

// Make makes a name; made is false where there is one.
func (c Client) Make(ctx context.Context, lease string, image *images.Image) (made bool, err error) {
	_, err = c.API.Create(c.In(ctx, lease), &images.CreateImageRequest{Image: image})
	if failure.IsExists(err) {
		return false, nil
	}
	return err == nil, failure.Explain(err)
}

// Move makes a name mean what image says, with its labels.
func (c Client) Move(ctx context.Context, lease string, image *images.Image) error {
	return failure.Explain(c.update(ctx, lease, image, "target"))
}

// Label gives a name labels, if it is there. An empty value removes a label.
func (c Client) Label(ctx context.Context, name string, labels map[string]string) error {
	// The engine does not look at the target, but does not survive one that is nil.
	err := c.update(ctx, "", &images.Image{Name: name, Labels: labels, Target: &types.Descriptor{}})
	if failure.IsNotFound(err) {
		return nil
	}
	return failure.Explain(err)
}

func (c Client) update(ctx context.Context, lease string, image *images.Image, paths ...string) error {
	for _, key := range slices.Sorted(maps.Keys(image.Labels)) {
		paths = append(paths, "labels."+key)
	}
	_, err := c.API.Update(c.In(ctx, lease), &images.UpdateImageRequest{Image: image, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
	return err
}

// Remove removes a name, if it is there. With wait it returns when the collector has
// removed what nothing needs then.
func (c Client) Remove(ctx context.Context, name string, wait bool) error {
	_, err := c.API.Delete(c.In(ctx, ""), &images.DeleteImageRequest{Name: name, Sync: wait})
	if failure.IsNotFound(err) {
		return nil
	}
	return failure.Explain(err)
}
