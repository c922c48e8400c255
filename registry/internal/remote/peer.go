// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/layerctl/layerctl/internal/hosts"
	"github.com/layerctl/layerctl/registry/internal/auth"
	"github.com/layerctl/layerctl/registry/internal/credentials"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

// hubHost is the host of Docker Hub's API.
const hubHost = "registry-1.docker.io"

// maxOthers bounds for how many hosts that a registry redirects to tokens are kept.
const maxOthers = 16

// penalty is how long a host that failed is asked after all others.
const penalty = time.Minute

// peer is one host that is asked in one way.
type peer struct {
	host      string   // as a reference or a mirror's configuration names it
	base      *url.URL // below it are the repositories, no slash at the end
	client    *http.Client
	ranged    *http.Client // for questions that are alone, without HTTP/2; nil where there are none
	elsewhere *http.Client // for URLs on other hosts that its documents and answers name
	pushes    *http.Client // for what is pushed to it, follows no redirects; nil for pulls
	header    http.Header  // the headers that are configured for it
	auth      *auth.Authoriser
	agent     string
	warn      func(string)
	pace      transport.Pace

	// overHTTP makes the peer that asks the same host over http; nil where that is
	// not allowed. plain is that peer, once the host is known to speak no TLS.
	overHTTP func() (*peer, error)
	plain    atomic.Pointer[peer]

	mu       sync.Mutex
	answered bool                        // the host has answered at least once
	failed   time.Time                   // until when it is asked after all others
	others   map[string]*auth.Authoriser // of hosts that it redirects to, by origin
}

// newPeer makes the peer that asks the host of that name as e says.
func newPeer(c *Client, name string, e hosts.Endpoint) (*peer, error) {
	base, err := url.Parse(e.URL)
	if err != nil {
		return nil, err
	}
	configured := len(e.CA)+len(e.Client) > 0 || e.SkipVerify
	e.CA = slices.Concat(e.CA, c.o.CAFiles)
	client, err := transport.NewClient(c.o.Transport, base, e, true)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	var ranged *http.Client
	if c.o.Ranges > 1 {
		alone, err := transport.NewClient(c.o.Transport, base, e, false)
		if err != nil {
			return nil, fmt.Errorf("host %s: %w", name, err)
		}
		ranged = alone.Client
	}
	p := &peer{
		host: name, base: base, client: client.Client, ranged: ranged, elsewhere: client.Elsewhere, header: e.Header,
		agent: c.o.UserAgent, warn: c.o.Warn, pace: transport.Pace{Stall: c.o.StallTimeout, Limit: c.limit},
	}
	p.auth = c.authoriser(p, c.credentials(e))
	if name == base.Host && !configured {
		p.overHTTP = overHTTP(base, func(base string) (*peer, error) {
			e.URL = base
			return newPeer(c, name, e)
		})
	}
	return p, nil
}

func (c *Client) authoriser(p *peer, lookup auth.Lookup) *auth.Authoriser {
	return auth.New(auth.Options{
		Host: p.host, Base: p.base, Client: p.client, UserAgent: c.o.UserAgent,
		Credentials: lookup, TokenHosts: c.o.TokenHosts, Patience: c.o.StallTimeout, Warn: c.o.Warn,
	})
}

// credentials finds those of the host's own configuration, or else the user's.
func (c *Client) credentials(e hosts.Endpoint) auth.Lookup {
	if e.Username == "" && e.IdentityToken == "" {
		return c.o.Credentials
	}
	return fixed(credentials.Login{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken})
}

// fixed always finds creds.
func fixed(creds credentials.Login) auth.Lookup {
	return func(context.Context, string, string) (credentials.Login, error) { return creds, nil }
}

// question is one request to a registry.
type question struct {
	method string
	repo   string
	path   string // below the repository: "manifests/latest"
	query  url.Values
	header http.Header
	alone  bool // asks for a connection that carries no other answer meanwhile

	at   *url.URL                      // the URL that the registry gave, in place of repo, path and query
	body func() (io.ReadCloser, error) // opens what is sent, for each try; nil sends nothing
	size int64                         // the size of the body
}

// ask sends q, answers one challenge, and returns an answer of status 2xx; any other
// is a [*transport.StatusError]. Reading the body fails when it stalls.
func (p *peer) ask(ctx context.Context, q question) (*http.Response, error) {
	n := p.now()
	resp, err := n.tryAsk(ctx, q)
	if n == p {
		if plain := p.fallBack(err); plain != nil {
			n = plain
			resp, err = n.tryAsk(ctx, q)
		}
	}
	return resp, n.auth.Denied(n.auth.Hide(err))
}

func (p *peer) tryAsk(ctx context.Context, q question) (*http.Response, error) {
	sent, err := p.auth.Header(ctx, q.repo)
	if err != nil {
		return nil, err
	}
	resp, err := p.send(ctx, q, sent)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized {
		if resp, err = p.authorise(ctx, q, sent, resp); err != nil {
			return nil, err
		}
	}
	if err := acceptable(p.host, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// authorise sends q again with the authorization that resp, a 401, asks for. sent is
// the authorization that was refused.
func (p *peer) authorise(ctx context.Context, q question, sent string, resp *http.Response) (*http.Response, error) {
	refusal := transport.NewStatusError(resp, time.Now())
	if !transport.SameOrigin(resp.Request.URL, p.base) {
		if q.at != nil {
			return nil, refusal // the registry gave a URL elsewhere, where nobody gets credentials
		}
		return p.authoriseOther(ctx, q, resp, refusal)
	}
	answer, err := p.auth.Answer(ctx, q.repo, sent, resp.Header, refusal)
	if err != nil {
		return nil, err
	}
	resp, err = p.send(ctx, q, answer)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || transport.SameOrigin(resp.Request.URL, p.base) {
		return resp, err
	}
	return p.authoriseOther(ctx, q, resp, transport.NewStatusError(resp, time.Now()))
}

// authoriseOther answers the challenge of another host, to which the registry has
// redirected: some registries are only another name of one. It sends an anonymous
// token, because the user's credentials are for the registry that the user named.
func (p *peer) authoriseOther(ctx context.Context, q question, resp *http.Response, refusal *transport.StatusError) (*http.Response, error) {
	if !auth.TakesTokens(resp.Header) {
		return nil, refusal
	}
	at := *resp.Request.URL
	at.User = nil
	answer, err := p.other(&at).Answer(ctx, repositoryOf(at.Path, q.repo), "", resp.Header, refusal)
	if err != nil {
		return nil, err
	}
	req, err := p.request(ctx, q, &at, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", answer)
	return p.do(q, req)
}

// repositoryOf returns the repository in a path of the API, or otherwise.
func repositoryOf(path, otherwise string) string {
	_, rest, found := strings.Cut(path, "/v2/")
	for _, kind := range []string{"/manifests/", "/blobs/"} {
		if at := strings.LastIndex(rest, kind); found && at > 0 {
			return rest[:at]
		}
	}
	return otherwise
}

// other returns the authoriser, without credentials, of a host to which the registry
// has redirected.
func (p *peer) other(at *url.URL) *auth.Authoriser {
	origin := at.Scheme + "://" + at.Host
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.others[origin] == nil {
		if p.others == nil || len(p.others) >= maxOthers {
			p.others = map[string]*auth.Authoriser{}
		}
		p.others[origin] = auth.New(auth.Options{
			Host: at.Host, Base: &url.URL{Scheme: at.Scheme, Host: at.Host}, Client: p.client, UserAgent: p.agent,
			Credentials: fixed(credentials.Login{}), Patience: p.pace.Stall,
		})
	}
	return p.others[origin]
}

// acceptable makes an error of an answer that has no status 2xx.
func acceptable(host string, resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return nil
	}
	status := transport.NewStatusError(resp, time.Now())
	if status.HTTPS {
		return failure.Final(checkFrom(resp, &transport.HTTPSError{Host: host, Peer: resp.Request.URL.Host}))
	}
	return status
}

// send sends q with the authorization, and returns whatever is answered. Another
// host than the registry gets neither the authorization nor the configured headers.
func (p *peer) send(ctx context.Context, q question, authorization string) (*http.Response, error) {
	u := p.base.JoinPath(q.repo, q.path)
	if q.repo == "" && q.path == "" {
		u = p.base.JoinPath("/") // the base of the API
	}
	u.RawQuery = q.query.Encode()
	configured := p.header
	if q.at != nil {
		u = q.at
		if !transport.SameOrigin(q.at, p.base) {
			configured, authorization = nil, ""
		}
	}
	req, err := p.request(ctx, q, u, configured)
	if err != nil {
		return nil, err
	}
	if q.body != nil {
		if req.Body, err = q.body(); err != nil {
			return nil, failure.Final(err)
		}
		req.ContentLength = q.size
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return p.do(q, req)
}

// request makes the request of q to u, without its body. It has the headers of
// configured, which q's replace.
func (p *peer) request(ctx context.Context, q question, u *url.URL, configured http.Header) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, configured)
	maps.Copy(req.Header, q.header)
	// A content coding would change the bytes that are hashed.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", p.agent)
	return req, nil
}

// do sends a request of q by the client that is meant for it.
func (p *peer) do(q question, req *http.Request) (*http.Response, error) {
	client := p.client
	switch {
	case q.alone:
		client = p.ranged
	case q.at != nil && !transport.SameOrigin(q.at, p.base):
		client = p.elsewhere
	case p.pushes != nil && q.method != http.MethodGet && q.method != http.MethodHead:
		client = p.pushes
	}
	resp, err := p.pace.Send(client, req, p.host)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.answered = true
	p.mu.Unlock()
	for _, text := range warnings(resp.Header) {
		p.warn(resp.Request.URL.Host + " warns: " + p.auth.HideIn(text))
	}
	return resp, nil
}

// mark remembers whether the host has answered or failed; a failure counts for a
// while only.
func (p *peer) mark(ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = time.Time{}
	if !ok {
		p.failed = time.Now().Add(penalty)
	}
}

func (p *peer) failing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.failed)
}

func (p *peer) hasAnswered() bool {
	p = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answered
}

// discard reads the rest of a short answer and closes its body, so that the connection
// can be used again.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, transport.MaxErrorBody)
	body.Close()
}
