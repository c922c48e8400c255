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
	// namespace tells a mirror whose image is meant, see
	// https://github.com/containerd/containerd/blob/main/docs/hosts.md
	namespace string
	// pull and resolve say what the host may be asked: content by digest, and
	// what a tag stands for.
	pull, resolve bool
	// at is where one blob is in place of a repository; nil for those.
	at *url.URL
}

// Open finds out whom to ask.
func (c *Client) Open(name Name) (*Repository, error) {
	plan, err := c.o.Files.Lookup(name.Host, name.Repository, name.Digest != "")
	if errors.Is(err, hosts.ErrBlocked) {
		return nil, failure.Mark(failure.Denied, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the mirrors' configuration: %w", err)
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

func (c *Client) route(registry string, e hosts.Endpoint) (*route, error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", e.URL, err)
	}
	rt := &route{repo: e.Repository, pull: e.Pull, resolve: e.Resolve}
	// Docker Hub is one registry under two names.
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

// own is the route to the registry itself.
func (r *Repository) own() *route { return r.routes[len(r.routes)-1] }

// ask sends one request about the repository.
func (rt *route) ask(ctx context.Context, method, path string, header http.Header) (*http.Response, error) {
	return rt.send(ctx, question{method: method, path: path, header: header})
}

// send sends a question, to which it adds the repository.
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
