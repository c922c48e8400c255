// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/layerctl/layerctl/internal/hosts"
	"github.com/layerctl/layerctl/registry/internal/auth"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

// route is one way to a repository: a host, and the repository's name there.
type route struct {
	peer *peer
	repo string
	// namespace tells a mirror which registry's image is meant, see
	// https://github.com/containerd/containerd/blob/main/docs/hosts.md
	namespace string
	// pull says that the host may be asked for content by digest, resolve that it
	// may be asked for a tag.
	pull, resolve bool
	// at is the URL of one foreign layer, which is in no repository; else nil.
	at *url.URL
}

// Open opens a repository for reading. It reads this machine's configuration of
// mirrors, and sends no request.
func (c *Client) Open(name Name) (*Repository, error) {
	plan, err := c.lookup(name)
	if err != nil {
		return nil, err
	}
	r := &Repository{c: c, name: name, sent: newLedger()}
	for _, e := range append(plan.Mirrors, plan.Origin) {
		rt, err := c.route(name.Host, e)
		if err != nil {
			return nil, err
		}
		r.routes = append(r.routes, rt)
	}
	return r, nil
}

// lookup reads from this machine's configuration where the repository is asked for.
// A host that it blocks is [failure.Denied].
func (c *Client) lookup(name Name) (hosts.Plan, error) {
	plan, err := c.o.Files.Lookup(name.Host, name.Repository, name.Digest != "")
	if errors.Is(err, hosts.ErrBlocked) {
		return plan, failure.Mark(failure.Denied, err)
	}
	if err != nil {
		return plan, fmt.Errorf("read the mirrors' configuration: %w", err)
	}
	return plan, nil
}

// route returns the way to a repository of the registry that e describes.
func (c *Client) route(registry string, e hosts.Endpoint) (*route, error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", e.URL, err)
	}
	rt := &route{repo: e.Repository, pull: e.Pull, resolve: e.Resolve}
	// References call Docker Hub by another name than that of its host.
	name := u.Host
	if name == hubHost && registry == auth.DockerHub {
		name = auth.DockerHub
	}
	if name != registry {
		rt.namespace = registry
	}
	if slices.Contains(c.o.PlainHTTP, name) {
		u.Scheme = "http"
		e.URL = u.String()
	}
	rt.peer, err = c.peer(name, e)
	return rt, err
}

// own returns the route to the registry itself.
func (r *Repository) own() *route { return r.routes[len(r.routes)-1] }

// ask sends one request about the repository.
func (rt *route) ask(ctx context.Context, method, path string, header http.Header) (*http.Response, error) {
	return rt.send(ctx, question{method: method, path: path, header: header})
}

// send sends q, to which it adds the repository and the namespace.
func (rt *route) send(ctx context.Context, q question) (*http.Response, error) {
	if rt.at != nil {
		return rt.peer.follow(ctx, q, rt.at)
	}
	q.repo = rt.repo
	if rt.namespace != "" {
		q.query = maps.Clone(q.query)
		if q.query == nil {
			q.query = url.Values{}
		}
		q.query.Set("ns", rt.namespace)
	}
	return rt.peer.ask(ctx, q)
}
