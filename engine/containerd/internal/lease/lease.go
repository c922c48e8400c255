// SPDX-License-Identifier: Apache-2.0

// Package lease has what keeps things in containerd from its collector
// (docs/garbage-collection.md in github.com/containerd/containerd).
package lease

import (
	"context"
	"crypto/rand"
	"maps"
	"time"

	leases "github.com/containerd/containerd/api/services/leases/v1"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
)

// Client takes leases in one namespace of an engine.
type Client struct {
	API leases.LeasesClient
	// In adds the namespace to the context of a call.
	In func(context.Context) context.Context
	// Patience is how long the end of a lease may take.
	Patience time.Duration
}

// expires is the life of a lease: after it the collector may remove what a process that
// died has left.
const expires = 24 * time.Hour

// NewID returns the id of a lease that nobody has.
func NewID() string { return "layerctl-" + rand.Text() }

// Take takes a lease: the collector leaves what calls under it make.
func (c Client) Take(ctx context.Context, id string, labels map[string]string) error {
	all := map[string]string{"containerd.io/gc.expire": time.Now().Add(expires).UTC().Format(time.RFC3339)}
	maps.Copy(all, labels)
	_, err := c.API.Create(c.In(ctx), &leases.CreateRequest{ID: id, Labels: all})
	return failure.Explain(err)
}

// Keep adds to a lease something that the engine had before.
func (c Client) Keep(ctx context.Context, id, kind, what string) error {
	_, err := c.API.AddResource(c.In(ctx), &leases.AddResourceRequest{ID: id, Resource: &leases.Resource{ID: what, Type: kind}})
	if failure.IsExists(err) {
		return nil
	}
	return failure.Explain(err)
}

// End ends a lease, also when ctx has ended. One that is gone is an error: it did not
// keep all the time.
func (c Client) End(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Patience)
	defer cancel()
	_, err := c.API.Delete(c.In(ctx), &leases.DeleteRequest{ID: id})
	return failure.Explain(err)
}

// Collect ends a lease, if there is one, and waits until what it kept is removed.
func (c Client) Collect(ctx context.Context, id string) error {
	_, err := c.API.Delete(c.In(ctx), &leases.DeleteRequest{ID: id, Sync: true})
	if failure.IsNotFound(err) {
		return nil
	}
	return failure.Explain(err)
}

// Labelled returns the ids of the leases that have a label.
func (c Client) Labelled(ctx context.Context, key, value string) (ids []string, err error) {
	answer, err := c.API.List(c.In(ctx), &leases.ListRequest{})
	if err != nil {
		return nil, failure.Explain(err)
	}
	for _, l := range answer.Leases {
		if l.Labels[key] == value {
			ids = append(ids, l.ID)
		}
	}
	return ids, nil
}
