// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/layerctl/layerctl/internal/hosts"
	"github.com/layerctl/layerctl/registry/internal/auth"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

// Writer sends what a repository is to hold: to the registry itself, never to a
// mirror, and nowhere by a redirect.
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
	// At is where the registry wants it, in place of Path and Query; see
	// [Writer.Location].
	At *url.URL
	// Body opens Size bytes to send, once more for each time that they are asked
	// for; nil is none.
	Body func() (io.ReadCloser, error)
	Size int64
}

// Writer opens a repository to write to.
func (c *Client) Writer(name Name) (*Writer, error) {
	plan, err := c.o.Files.Lookup(name.Host, name.Repository, false)
	if errors.Is(err, hosts.ErrBlocked) {
		return nil, failure.Mark(failure.Denied, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the mirrors' configuration: %w", err)
	}
	rt, err := c.route(name.Host, plan.Origin)
	if err != nil {
		return nil, err
	}
	rt.peer = c.sender(rt.peer, c.credentials(plan.Origin))
	return &Writer{c, rt}, nil
}

// sender is the peer as it is spoken to by who sends: with tokens of its own.
// It is the same one for all repositories of the host.
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

func (c *Client) sendTo(p *peer, lookup auth.Lookup) *peer {
	s := &peer{
		host: p.host, base: p.base, client: p.client, sends: unled(p.client), led: unled(p.led),
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

// unled is the client that follows no redirect.
func unled(c *http.Client) *http.Client {
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// Send sends one request and answers one challenge. Answers of the 2xx kind are
// returned, others are a [*transport.StatusError].
func (w *Writer) Send(ctx context.Context, s Sending) (*http.Response, error) {
	q := question{method: s.Method, repo: w.rt.repo, path: s.Path, query: s.Query, header: s.Header, at: s.At, body: s.Body, size: s.Size}
	return w.rt.peer.ask(ctx, q)
}

// Try sends until it succeeds or the retries are used up; send may tell that
// content was taken, which renews them.
func (w *Writer) Try(ctx context.Context, send func(progressed func(n int)) error) error {
	a := newAttempts(&w.c.o, w.c.o.Logger, []*route{w.rt})
	for {
		rt, err := a.next(ctx)
		if err != nil {
			return err
		}
		if err = send(func(n int) { a.progressed(n, 0) }); err == nil {
			rt.peer.mark(true)
			a.answered()
			return nil
		}
		a.failed(rt, err)
	}
}

// Again says whether the same request may be answered otherwise later.
func Again(err error) bool { return retryable(err) }

// Location is where an answer says that an upload goes on: a URL, or a path on
// the host that answered. Another host gets what is uploaded only where a
// redirect of the registry may lead, and never the credentials.
func (w *Writer) Location(resp *http.Response) (*url.URL, error) {
	at, err := resp.Location()
	if err != nil {
		return nil, failure.Final(checkFrom(resp, failure.New(failure.Network, "no Location where the upload goes on")))
	}
	at.User, at.Fragment = nil, ""
	// Behind a proxy that ends TLS registries may write http; what was asked by
	// https goes on by https.
	if base := w.rt.peer.now().base; at.Host == base.Host {
		at.Scheme = base.Scheme
	}
	return at, nil
}

// Answered says of an error that it came with this answer.
func Answered(resp *http.Response, err error) error { return checkFrom(resp, err) }

// Status is the answer's status that an error stands for; 0 for none.
func Status(err error) int {
	var status *transport.StatusError
	if errors.As(err, &status) {
		return status.Status
	}
	return 0
}

// Drain reads what little an answer holds and closes it.
func Drain(resp *http.Response) { discard(resp.Body) }
