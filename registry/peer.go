// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/layerctl/layerctl/internal/hosts"
)

// dockerHub is how references name Docker Hub, and hubHost what answers for it.
const (
	dockerHub = "docker.io"
	hubHost   = "registry-1.docker.io"
)

// penalty is how long a host that failed is tried last.
const penalty = time.Minute

// peer is one host that is spoken to.
type peer struct {
	host   string   // as a reference or a mirror's configuration names it
	base   *url.URL // below it are the repositories, no slash at the end
	client *http.Client
	ranged *http.Client // for questions that are alone; nil where none is asked
	header http.Header  // of its configuration
	auth   *authoriser
	agent  string
	stall  time.Duration
	limit  *limiter

	mu       sync.Mutex
	answered bool // it has been there
	failed   time.Time
}

// newPeer knows the host as name, and how to speak to it from e.
func newPeer(c *Client, name string, e hosts.Endpoint) (*peer, error) {
	base, err := url.Parse(e.URL)
	if err != nil {
		return nil, err
	}
	client, err := newHTTPClient(c.o, base, e, true)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	var ranged *http.Client
	if c.o.Ranges > 1 {
		if ranged, err = newHTTPClient(c.o, base, e, false); err != nil {
			return nil, fmt.Errorf("host %s: %w", name, err)
		}
	}
	return &peer{
		host: name, base: base, client: client, ranged: ranged, header: e.Header,
		agent: c.o.UserAgent, stall: c.o.StallTimeout, limit: c.limit,
		auth: newAuthoriser(c, name, base, client, e),
	}, nil
}

// question is one request to a registry.
type question struct {
	method string
	repo   string
	path   string // below the repository: "manifests/latest"
	query  url.Values
	header http.Header
	alone  bool // on a connection that carries no other answer meanwhile
}

// ask sends q, answers one challenge, and returns any answer of the 2xx kind;
// others are a [*StatusError]. The body gives up when it stalls.
func (p *peer) ask(ctx context.Context, q question) (*http.Response, error) {
	sent, err := p.auth.authorization(ctx, q.repo)
	if err != nil {
		return nil, err
	}
	resp, err := p.send(ctx, q, sent)
	if err != nil {
		return nil, err
	}
	// A 401 of another host, after a redirect, is not the registry's question.
	if resp.StatusCode == http.StatusUnauthorized && sameOrigin(resp.Request.URL, p.base) {
		refusal := newStatusError(resp, time.Now())
		if sent, err = p.auth.answer(ctx, q.repo, sent, resp.Header, refusal); err != nil {
			return nil, err
		}
		if resp, err = p.send(ctx, q, sent); err != nil {
			return nil, err
		}
	}
	if err := acceptable(resp); err != nil {
		return nil, err
	}
	return resp, nil
}

func acceptable(resp *http.Response) error {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return newStatusError(resp, time.Now())
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		resp.Body.Close()
		return final(as(ErrNetwork, "%s %s: Content-Encoding %q, which was not asked for",
			resp.Request.Method, redact(resp.Request.URL), e))
	}
	return nil
}

func (p *peer) send(ctx context.Context, q question, authorization string) (*http.Response, error) {
	u := p.base.JoinPath(q.repo, q.path)
	if q.repo == "" && q.path == "" {
		u = p.base.JoinPath("/") // the API itself
	}
	u.RawQuery = q.query.Encode()
	sctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(sctx, q.method, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	maps.Copy(req.Header, p.header)
	maps.Copy(req.Header, q.header)
	// Otherwise the digest would be that of other bytes than those that came.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", p.agent)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	timer := time.AfterFunc(p.stall, func() { cancel(errStalled) })
	client := p.client
	if q.alone {
		client = p.ranged
	}
	resp, err := client.Do(req)
	timer.Stop()
	if err != nil {
		err = p.unanswered(ctx, sctx, req, err)
		cancel(nil)
		return nil, err
	}
	p.mu.Lock()
	p.answered = true
	p.mu.Unlock()
	resp.Body = newPatient(resp.Body, p.stall, sctx, cancel)
	if p.limit != nil {
		resp.Body = &limited{resp.Body, sctx, p.limit}
	}
	return resp, nil
}

// unanswered says why no answer came. What net/http says names the URL with
// its query, which may be a secret.
func (p *peer) unanswered(ctx, sctx context.Context, req *http.Request, err error) error {
	at := req.URL
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
		if u, perr := url.Parse(ue.URL); perr == nil {
			at = u
		}
	}
	if errors.Is(context.Cause(sctx), errStalled) {
		err = errStalled
	}
	object := req.Method + " " + redact(at)
	if speaksPlainHTTP(err) {
		return final(&failure{ErrNetwork, as(ErrPlainHTTP, "%s: %s speaks http, not https (if that is meant: --plain-http %s)", object, at.Host, p.host)})
	}
	wrapped := network(ctx, fmt.Errorf("%s: %w", object, err))
	var denied *policyError
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &denied) || errors.As(err, &cert) || errors.As(err, &unknown) {
		return final(wrapped)
	}
	return wrapped
}

func speaksPlainHTTP(err error) bool {
	var rec tls.RecordHeaderError
	if errors.As(err, &rec) {
		return string(rec.RecordHeader[:]) == "HTTP/"
	}
	return err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
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
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answered
}

// discard reads the little that an answer without news may hold, so that its
// connection is used again.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxErrorBody)
	body.Close()
}
