// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/layerctl/layerctl/internal/hosts"
	"github.com/layerctl/layerctl/registry/internal/credentials"
)

// authoriser knows how one host wants to be convinced, and with what. It
// learns that from the host's first 401.
type authoriser struct {
	host       string // as references name it
	base       *url.URL
	client     *http.Client
	agent      string
	login      loginFunc
	tokenHosts []string
	patience   time.Duration

	// lock holds one value while somebody uses what is below: a token is
	// asked for once, and whoever needs it too waits, or gives up with its
	// context, which a mutex would not allow.
	lock   chan struct{}
	seen   *challenge
	tokens map[string]bearer   // by repository
	scopes map[string][]string // likewise, where the host named its own
}

// loginFunc finds the credentials for a repository of a host; none is no error.
type loginFunc func(ctx context.Context, host, repository string) (credentials.Login, error)

// always finds the same credentials, as a host's own configuration has them.
func always(l credentials.Login) loginFunc {
	return func(context.Context, string, string) (credentials.Login, error) { return l, nil }
}

func newAuthoriser(c *Client, host string, base *url.URL, client *http.Client, e hosts.Endpoint) *authoriser {
	login := loginFunc(c.credentials.Find)
	if e.Username != "" || e.IdentityToken != "" {
		login = always(credentials.Login{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken})
	} else if l, ok := c.o.Logins[host]; ok {
		login = always(credentials.Login{Username: l.Username, Password: l.Password})
	}
	return &authoriser{
		host: host, base: base, client: client, agent: c.o.UserAgent, login: login,
		tokenHosts: c.o.TokenHosts, patience: c.o.StallTimeout,
		lock: make(chan struct{}, 1), tokens: map[string]bearer{},
		scopes: map[string][]string{},
	}
}

func (a *authoriser) acquire(ctx context.Context) error {
	select {
	case a.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *authoriser) release() { <-a.lock }

// authorization is the header to send, "" as long as the host never asked.
func (a *authoriser) authorization(ctx context.Context, repo string) (string, error) {
	if err := a.acquire(ctx); err != nil {
		return "", err
	}
	defer a.release()
	if a.seen == nil {
		return "", nil
	}
	if t, ok := a.tokens[repo]; ok && t.valid(time.Now()) {
		return t.header(), nil
	}
	return a.obtain(ctx, repo, nil)
}

// answer is the header to send after a 401 to a request that was sent with the
// header sent. It fails if there is nothing better.
func (a *authoriser) answer(ctx context.Context, repo, sent string, h http.Header, refusal *StatusError) (string, error) {
	if err := a.acquire(ctx); err != nil {
		return "", err
	}
	defer a.release()
	if t, ok := a.tokens[repo]; ok && t.header() != sent && t.valid(time.Now()) {
		return t.header(), nil // somebody else asked meanwhile
	}
	delete(a.tokens, repo)
	ch, err := choose(challenges(h))
	if err != nil {
		return "", final(&failure{ErrDenied, fmt.Errorf("%w (%w)", refusal, err)})
	}
	a.seen = ch
	a.scopes[repo] = strings.Fields(ch.params["scope"])
	header, err := a.obtain(ctx, repo, refusal)
	if err == nil && header == sent {
		return "", final(&failure{ErrDenied, fmt.Errorf("%w (credentials for %s were sent)", refusal, a.host)})
	}
	return header, err
}

// choose prefers tokens, for they say less.
func choose(all []challenge) (*challenge, error) {
	var schemes []string
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range all {
			if c.scheme == scheme {
				return &c, nil
			}
			schemes = append(schemes, c.scheme)
		}
	}
	if len(schemes) == 0 {
		return nil, errors.New("no WWW-Authenticate")
	}
	return nil, fmt.Errorf("only by %s", oneLine(strings.Join(slices.Compact(schemes), ", ")))
}

// obtain makes the header for the challenge seen. The lock is held.
func (a *authoriser) obtain(ctx context.Context, repo string, refusal *StatusError) (string, error) {
	creds, err := a.login(ctx, a.host, repo)
	if err != nil {
		return "", final(as(ErrDenied, "credentials for %s: %w", a.host, err))
	}
	if a.seen.scheme == "basic" {
		if creds.Username == "" && creds.Password == "" {
			return "", final(a.lacking(refusal))
		}
		return basic(creds), nil
	}
	if creds.RegistryToken != "" {
		return "Bearer " + creds.RegistryToken, nil
	}
	t, err := a.fetchToken(ctx, repo, creds)
	if err != nil {
		return "", err
	}
	a.tokens[repo] = t
	return t.header(), nil
}

func (a *authoriser) lacking(refusal *StatusError) error {
	reason := fmt.Errorf("no credentials for %s are known", a.host)
	if refusal != nil {
		reason = fmt.Errorf("%w (no credentials for %s are known)", refusal, a.host)
	}
	return &failure{ErrDenied, reason}
}

func basic(c credentials.Login) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}
