// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/credentials"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

// Foreign opens a blob at the urls of its descriptor, one after the other, see
// https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md
// Only URLs to which a redirect of the registry may lead are asked.
func (r *Repository) Foreign(ctx context.Context, desc ocispec.Descriptor) (*content.Reader, error) {
	return r.foreign(ctx, desc, r.own().peer.elsewhere)
}

// Foreign is [Repository.Foreign] for an image in a file: the urls must be public and
// https.
func (c *Client) Foreign(ctx context.Context, desc ocispec.Descriptor) (*content.Reader, error) {
	r := &Repository{c: c, sent: newLedger()}
	return r.foreign(ctx, desc, transport.NewElsewhere(c.o.Transport))
}

func (r *Repository) foreign(ctx context.Context, desc ocispec.Descriptor, client *http.Client) (*content.Reader, error) {
	routes := r.c.foreignRoutes(desc.URLs, client)
	if len(routes) == 0 {
		return nil, failure.New(failure.NotFound, "none of the urls of %s is one", desc.Digest)
	}
	v := content.VerifyLater(desc)
	s := r.stream(ctx, desc, newRangings())
	s.sum = v.Sum
	s.tries = newAttempts(&r.c.o, routes)
	if err := s.connect(); err != nil {
		s.cancel()
		return nil, err
	}
	v.Attach(s, func() content.Sender {
		from := s.sender()
		r.c.lied.Store(s.from.at.String(), true)
		from.Others = slices.ContainsFunc(routes, func(rt *route) bool { return !r.c.hasLied(rt.at) })
		return from
	})
	return v, nil
}

// hasLied reports whether the url has sent other bytes than the digest's.
func (c *Client) hasLied(at *url.URL) bool {
	_, lied := c.lied.Load(at.String())
	return lied
}

// foreignRoutes returns the routes to the valid ones of the urls, without users,
// passwords and fragments. Those that have sent wrong bytes come last.
func (c *Client) foreignRoutes(urls []string, client *http.Client) []*route {
	var routes, last []*route
	for _, text := range urls {
		at, err := url.Parse(text)
		if err != nil || at.Hostname() == "" {
			c.o.Logger.Warn("pass over a url of a layer", "url", failure.OneLine(text))
			continue
		}
		at.User, at.Fragment = nil, ""
		p := &peer{
			host: at.Host, base: &url.URL{Scheme: at.Scheme, Host: at.Host}, client: client,
			agent: c.o.UserAgent, warn: c.o.Warn, pace: transport.Pace{Stall: c.o.StallTimeout, Limit: c.limit},
		}
		p.auth = c.authoriser(p, fixed(credentials.Login{}))
		if rt := (&route{peer: p, at: at, pull: true}); c.hasLied(at) {
			last = append(last, rt)
		} else {
			routes = append(routes, rt)
		}
	}
	return append(routes, last...)
}

// follow sends q to a URL, without credentials and configured headers.
func (p *peer) follow(ctx context.Context, q question, at *url.URL) (*http.Response, error) {
	req, err := p.request(ctx, q, at, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.do(q, req)
	if err == nil {
		err = acceptable(resp.Request.URL.Host, resp)
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}
