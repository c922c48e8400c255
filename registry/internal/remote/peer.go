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

// hubHost is what answers for Docker Hub.
const hubHost = "registry-1.docker.io"

// maxOthers bounds the hosts that a registry leads to and whose tokens are kept.
const maxOthers = 16

// penalty is how long a host that failed is tried last.
const penalty = time.Minute

// peer is one host that is spoken to.
type peer struct {
	host   string   // as a reference or a mirror's configuration names it
	base   *url.URL // below it are the repositories, no slash at the end
	client *http.Client
	ranged *http.Client // for questions that are alone; nil where none is asked
	led    *http.Client // for where its images say that layers are
	sends  *http.Client // for what is sent to it, and led nowhere else; nil where nothing is
	header http.Header  // of its configuration
	auth   *auth.Authoriser
	agent  string
	warn   func(string)
	pace   transport.Pace

	// overHTTP makes the same peer of whom http is asked; nil where that may
	// not be. plain is that peer, once it is known to be the one.
	overHTTP func() (*peer, error)
	plain    atomic.Pointer[peer]

	mu       sync.Mutex
	answered bool // it has been there
	failed   time.Time
	others   map[string]*auth.Authoriser // of hosts that it led to, by origin
}

// newPeer knows the host as name, and how to speak to it from e.
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
		host: name, base: base, client: client.Client, ranged: ranged, led: client.Led, header: e.Header,
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

// credentials are those of the host's own configuration, or the user's.
func (c *Client) credentials(e hosts.Endpoint) auth.Lookup {
	if e.Username == "" && e.IdentityToken == "" {
		return c.o.Credentials
	}
	return fixed(credentials.Login{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken})
}

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
	alone  bool // on a connection that carries no other answer meanwhile

	at   *url.URL                      // in place of repo, path and query: where the registry wants it
	body func() (io.ReadCloser, error) // opens what is sent, once more for each try; nil is nothing
	size int64                         // of the body
}

// ask sends q, answers one challenge, and returns any answer of the 2xx kind;
// others are a [*transport.StatusError]. The body gives up when it stalls.
func (p *peer) ask(ctx context.Context, q question) (*http.Response, error) {
	n := p.now()
	resp, err := n.tryAsk(ctx, q)
	if plain := p.fallBack(err); plain != nil {
		n = plain
		resp, err = n.tryAsk(ctx, q)
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
		if resp, err = p.convince(ctx, q, sent, resp); err != nil {
			return nil, err
		}
	}
	if err := acceptable(p.host, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// convince sends q again with an answer to the challenge.
func (p *peer) convince(ctx context.Context, q question, sent string, resp *http.Response) (*http.Response, error) {
	refusal := transport.NewStatusError(resp, time.Now())
	if !transport.SameOrigin(resp.Request.URL, p.base) {
		if q.at != nil {
			return nil, refusal // what is sent is the registry's, and so are the credentials
		}
		return p.convinceOther(ctx, q, resp, refusal)
	}
	answer, err := p.auth.Answer(ctx, q.repo, sent, resp.Header, refusal)
	if err != nil {
		return nil, err
	}
	resp, err = p.send(ctx, q, answer)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || transport.SameOrigin(resp.Request.URL, p.base) {
		return resp, err
	}
	return p.convinceOther(ctx, q, resp, transport.NewStatusError(resp, time.Now()))
}

// convinceOther answers the challenge of a host that the registry led to, as
// some registries are only a name for others. It is answered there and by
// nobody: the user's credentials are for the registry that the user named.
func (p *peer) convinceOther(ctx context.Context, q question, resp *http.Response, refusal *transport.StatusError) (*http.Response, error) {
	if !auth.TakesTokens(resp.Header) {
		return nil, refusal
	}
	at := *resp.Request.URL
	at.User = nil
	answer, err := p.other(&at).Answer(ctx, repositoryOf(at.Path, q.repo), "", resp.Header, refusal)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, q.method, at.String(), nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, q.header)
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", p.agent)
	req.Header.Set("Authorization", answer)
	return p.do(q, req)
}

// repositoryOf is what a path calls the repository.
func repositoryOf(path, otherwise string) string {
	_, rest, found := strings.Cut(path, "/v2/")
	for _, kind := range []string{"/manifests/", "/blobs/"} {
		if at := strings.LastIndex(rest, kind); found && at > 0 {
			return rest[:at]
		}
	}
	return otherwise
}

// other knows how to convince a host that the registry led to.
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

func (p *peer) send(ctx context.Context, q question, authorization string) (*http.Response, error) {
	u := p.base.JoinPath(q.repo, q.path)
	if q.repo == "" && q.path == "" {
		u = p.base.JoinPath("/") // the API itself
	}
	u.RawQuery = q.query.Encode()
	own := true
	if q.at != nil {
		u, own = q.at, transport.SameOrigin(q.at, p.base)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if q.body != nil {
		if req.Body, err = q.body(); err != nil {
			return nil, failure.Final(err)
		}
		req.ContentLength = q.size
	}
	if own {
		maps.Copy(req.Header, p.header)
	} else {
		authorization = ""
	}
	maps.Copy(req.Header, q.header)
	// Otherwise the digest would be that of other bytes than those that came.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", p.agent)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return p.do(q, req)
}

func (p *peer) do(q question, req *http.Request) (*http.Response, error) {
	client := p.client
	switch {
	case q.alone:
		client = p.ranged
	case q.at != nil && !transport.SameOrigin(q.at, p.base):
		client = p.led
	case p.sends != nil && q.method != http.MethodGet && q.method != http.MethodHead:
		client = p.sends
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

// mark remembers whether the host failed, and for how long that counts.
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

// discard reads the little that an answer without news may hold, so that its
// connection is used again.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, transport.MaxErrorBody)
	body.Close()
}
