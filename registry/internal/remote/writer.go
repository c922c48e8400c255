// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/layerctl/layerctl/registry/internal/auth"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

// Writer sends content to a repository: to the registry itself, never to a mirror,
// and it follows no redirect of what it sends.
type Writer struct {
	c  *Client
	rt *route
}

// Sending is one request of a push.
type Sending struct {
	Method string
	Path   string // below the repository: "blobs/uploads/"
	Query  url.Values
	Header http.Header
	// At is the URL that the registry gave for the request, see [Writer.Location].
	// Path and Query are not used then.
	At *url.URL
	// Body opens the Size bytes to send. It is called for each try; nil sends none.
	Body func() (io.ReadCloser, error)
	Size int64
}

// Writer opens a repository to write to.
func (c *Client) Writer(name Name) (*Writer, error) {
	plan, err := c.lookup(name)
	if err != nil {
		return nil, err
	}
	rt, err := c.route(name.Host, plan.Origin)
	if err != nil {
		return nil, err
	}
	rt.peer = c.sender(rt.peer, c.credentials(plan.Origin))
	return &Writer{c, rt}, nil
}

// sender returns the peer that pushes to the same host as p, with tokens of its own.
// All repositories of the host share it.
func (c *Client) sender(p *peer, lookup auth.Lookup) *peer {
	key := fmt.Sprintf("send %p", p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.peers[key]; ok {
		return s
	}
	s := c.sendTo(p, lookup)
	c.peers[key] = s
	return s
}

// sendTo makes the peer that pushes to the same host as p.
func (c *Client) sendTo(p *peer, lookup auth.Lookup) *peer {
	s := &peer{
		host: p.host, base: p.base, client: p.client, pushes: withoutRedirects(p.client), elsewhere: withoutRedirects(p.elsewhere),
		header: p.header, agent: p.agent, warn: p.warn, pace: p.pace,
	}
	s.pace.Sent = c.sent
	s.auth = auth.New(auth.Options{
		Host: s.host, Base: s.base, Client: s.client, UserAgent: c.o.UserAgent, Push: true,
		Credentials: lookup, TokenHosts: c.o.TokenHosts, Patience: c.o.StallTimeout, Warn: c.o.Warn,
	})
	if p.overHTTP != nil {
		s.overHTTP = func() (*peer, error) {
			plain, err := p.overHTTP()
			if err != nil {
				return nil, err
			}
			return c.sendTo(plain, lookup), nil
		}
	}
	return s
}

// withoutRedirects returns a client like c that follows no redirect.
func withoutRedirects(c *http.Client) *http.Client {
	client := *c
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// Send sends one request and answers one challenge. It returns an answer of status
// 2xx; any other is a [*transport.StatusError].
func (w *Writer) Send(ctx context.Context, s Sending) (*http.Response, error) {
	q := question{method: s.Method, repo: w.rt.repo, path: s.Path, query: s.Query, header: s.Header, at: s.At, body: s.Body, size: s.Size}
	return w.rt.peer.ask(ctx, q)
}

// Try calls send until it succeeds or the retries are used up. By calling progressed
// with the number of bytes that the registry has taken, send renews the retries.
func (w *Writer) Try(ctx context.Context, send func(progressed func(n int)) error) error {
	a := newAttempts(&w.c.o, []*route{w.rt})
	return a.run(ctx, func(*route) error {
		return send(func(n int) { a.progressed(n, 0) })
	})
}

// Location returns the URL at which an upload goes on, by the answer's Location: a
// URL, or a path on the host that answered. It may be on another host: that must be
// one to which a redirect of the registry may lead, and it never gets the credentials.
func (w *Writer) Location(resp *http.Response) (*url.URL, error) {
	at, err := resp.Location()
	if err != nil {
		return nil, failure.Final(checkFrom(resp, failure.New(failure.Network, "no Location where the upload goes on")))
	}
	at.User, at.Fragment = nil, ""
	// A registry behind a proxy that ends TLS may write http: an upload that began
	// by https goes on by https.
	if base := w.rt.peer.now().base; at.Host == base.Host {
		at.Scheme = base.Scheme
	}
	return at, nil
}

// Answered adds to err the method and the URL of the request that resp answers.
func Answered(resp *http.Response, err error) error { return checkFrom(resp, err) }

// Status returns the HTTP status of an error that is an answer's; 0 for any other.
func Status(err error) int {
	var status *transport.StatusError
	if errors.As(err, &status) {
		return status.Status
	}
	return 0
}

// Drain reads the rest of a short answer and closes its body, so that the connection
// can be used again.
func Drain(resp *http.Response) { discard(resp.Body) }
