// SPDX-License-Identifier: Apache-2.0

// Package auth answers the challenges of registries.
package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/layerctl/layerctl/registry/internal/credentials"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

// Lookup finds the credentials for a repository on a host; none is no error.
type Lookup func(ctx context.Context, host, repo string) (credentials.Login, error)

// Options are what an [Authoriser] goes by.
type Options struct {
	Host        string   // as references name it
	Base        *url.URL // where it is asked
	Client      *http.Client
	UserAgent   string
	Credentials Lookup
	// TokenHosts may have credentials though they are of another site.
	TokenHosts []string
	// Patience is how long a token server may take.
	Patience time.Duration
	// Warn tells the user of credentials that were passed over.
	Warn func(text string)
	// Push asks for tokens that content may be sent with.
	Push bool
}

// Authoriser knows how one host wants to be convinced, and with what. It
// learns that from the host's first 401.
type Authoriser struct {
	o Options

	// lock holds one value while somebody uses what is below: a token is
	// asked for once, and whoever needs it too waits, or gives up with its
	// context, which a mutex would not allow.
	lock   chan struct{}
	seen   *Challenge
	tokens map[string]bearer   // by repository
	scopes map[string][]string // likewise, where the host named its own
	// skipped is why there may be credentials that were not found.
	skipped error

	mu      sync.Mutex
	secrets []string // that were sent, the last ones
	shown   shown
}

// New returns an authoriser that has learnt nothing yet.
func New(o Options) *Authoriser {
	return &Authoriser{
		o: o, lock: make(chan struct{}, 1), tokens: map[string]bearer{}, scopes: map[string][]string{},
	}
}

func (a *Authoriser) acquire(ctx context.Context) error {
	select {
	case a.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Authoriser) release() { <-a.lock }

// Header is the header to send, "" as long as the host never asked.
func (a *Authoriser) Header(ctx context.Context, repo string) (string, error) {
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

// Answer is the header to send after a 401 to a request that was sent with the
// header sent. It fails if there is nothing better.
func (a *Authoriser) Answer(ctx context.Context, repo, sent string, h http.Header, refusal *transport.StatusError) (string, error) {
	if err := a.acquire(ctx); err != nil {
		return "", err
	}
	defer a.release()
	if t, ok := a.tokens[repo]; ok && t.header() != sent && t.valid(time.Now()) {
		return t.header(), nil // somebody else asked meanwhile
	}
	delete(a.tokens, repo)
	ch, err := choose(Challenges(h))
	if err != nil {
		return "", failure.Final(failure.Mark(failure.Denied, fmt.Errorf("%w (%w)", refusal, err)))
	}
	a.seen = ch
	a.scopes[repo] = strings.Fields(ch.Params["scope"])
	header, err := a.obtain(ctx, repo, refusal)
	if err == nil && header == sent {
		return "", failure.Final(failure.Mark(failure.Denied, fmt.Errorf("%w (credentials for %s were sent)", refusal, a.o.Host)))
	}
	return header, err
}

// maxSecrets bounds the secrets that are remembered.
const maxSecrets = 64

// sent remembers what must not be repeated.
func (a *Authoriser) sent(secrets ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range secrets {
		if s != "" && !slices.Contains(a.secrets, s) {
			a.secrets = append(a.secrets, s)
		}
	}
	a.secrets = a.secrets[max(0, len(a.secrets)-maxSecrets):]
}

// Hide leaves out of an error what was sent to convince the host.
func (a *Authoriser) Hide(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return failure.Hide(err, slices.Clone(a.secrets)...)
}

// HideIn leaves the same out of a text.
func (a *Authoriser) HideIn(text string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return failure.Without(text, a.secrets...)
}

// choose prefers tokens, for they say less.
func choose(all []Challenge) (*Challenge, error) {
	var schemes []string
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range all {
			if c.Scheme == scheme {
				return &c, nil
			}
			schemes = append(schemes, c.Scheme)
		}
	}
	if len(schemes) == 0 {
		return nil, errors.New("no WWW-Authenticate")
	}
	return nil, fmt.Errorf("only by %s", failure.OneLine(strings.Join(slices.Compact(schemes), ", ")))
}

// obtain makes the header for the challenge seen. The lock is held.
func (a *Authoriser) obtain(ctx context.Context, repo string, refusal *transport.StatusError) (string, error) {
	creds, err := a.credentials(ctx, repo)
	if err != nil {
		return "", failure.Final(failure.New(failure.Denied, "credentials for %s: %w", a.o.Host, err))
	}
	a.sent(creds.Password, creds.IdentityToken, creds.RegistryToken)
	a.show(shown{sent: creds != (credentials.Login{})})
	if creds.Password != "" {
		a.sent(strings.TrimPrefix(basic(creds), "Basic "))
	}
	if a.seen.Scheme == "basic" {
		if creds.Username == "" && creds.Password == "" {
			return "", failure.Final(a.lacking(refusal))
		}
		return basic(creds), nil
	}
	if creds.RegistryToken != "" {
		return "Bearer " + creds.RegistryToken, nil
	}
	t, err := a.fetchToken(ctx, repo, creds)
	if err != nil && a.skipped != nil && errors.Is(err, failure.Denied) {
		return "", failure.Final(failure.Mark(failure.Denied, fmt.Errorf("%w (credentials for %s: %w)", err, a.o.Host, a.skipped)))
	}
	if err != nil {
		return "", err
	}
	a.tokens[repo] = t
	a.sent(t.token)
	return t.header(), nil
}

// credentials are those that could be found. What is broken is no reason to
// give up: the image may be public.
func (a *Authoriser) credentials(ctx context.Context, repo string) (credentials.Login, error) {
	creds, err := a.o.Credentials(ctx, a.o.Host, repo)
	var skipped *credentials.SkippedError
	if !errors.As(err, &skipped) {
		a.skipped = nil
		return creds, err
	}
	a.skipped = skipped
	if a.o.Warn != nil {
		a.o.Warn(fmt.Sprintf("credentials for %s: %v", a.o.Host, skipped))
	}
	return creds, nil
}

// Knows says whether there are credentials for the repository.
func (a *Authoriser) Knows(ctx context.Context, repo string) bool {
	if a.acquire(ctx) != nil {
		return false
	}
	defer a.release()
	creds, err := a.credentials(ctx, repo)
	return err == nil && creds != (credentials.Login{})
}

func (a *Authoriser) lacking(refusal *transport.StatusError) error {
	reason := fmt.Errorf("no credentials for %s are known", a.o.Host)
	if a.skipped != nil {
		reason = fmt.Errorf("%w: %w", reason, a.skipped)
	}
	if refusal != nil {
		reason = fmt.Errorf("%w (%w)", refusal, reason)
	}
	return failure.Mark(failure.Denied, reason)
}

func basic(c credentials.Login) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}
