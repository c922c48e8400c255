// SPDX-License-Identifier: Apache-2.0

// Package auth answers the challenges of registries: by a user's name and password, or
// by a token that it gets for them.
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

// Lookup returns the credentials for a repository on a host; a zero Login for none.
type Lookup func(ctx context.Context, host, repo string) (credentials.Login, error)

// Options are what an [Authoriser] needs to know.
type Options struct {
	Host        string   // as references name it
	Base        *url.URL // the URL of its API
	Client      *http.Client
	UserAgent   string
	Credentials Lookup
	// TokenHosts lists token servers that may get credentials although they are of
	// another site than the host.
	TokenHosts []string
	// Patience is how long a token server may take.
	Patience time.Duration
	// Warn tells the user of credentials that could not be read; nil does not.
	Warn func(text string)
	// Push asks for tokens that allow pushes.
	Push bool
}

// Authoriser makes the Authorization header for one host. It learns from the host's
// first 401 what the host wants.
type Authoriser struct {
	o Options

	// lock holds one value while somebody uses the fields below: a token is asked for
	// once, and others that need it wait. It is no mutex, so that they can stop waiting
	// when their contexts are done.
	lock   chan struct{}
	seen   *Challenge          // the host's last challenge; nil before the first
	tokens map[string]bearer   // by repository
	scopes map[string][]string // the scopes that the host named, by repository
	// skipped says which credentials could not be read; nil where all could.
	skipped error

	mu      sync.Mutex
	secrets []string // the last secrets that were sent
	shown   shown
}

// New returns an authoriser for a host that has not been asked yet.
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

// Header returns the Authorization to send for a repository; "" as long as the host has
// not answered 401. It may ask a token server.
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

// Answer returns the Authorization to send after a 401, whose headers are h and whose
// error is refusal, to a request with the Authorization sent. It is an error if there is
// none but that.
func (a *Authoriser) Answer(ctx context.Context, repo, sent string, h http.Header, refusal *transport.StatusError) (string, error) {
	if err := a.acquire(ctx); err != nil {
		return "", err
	}
	defer a.release()
	if t, ok := a.tokens[repo]; ok && t.header() != sent && t.valid(time.Now()) {
		return t.header(), nil // another goroutine has got it meanwhile
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

// maxSecrets bounds how many secrets are remembered.
const maxSecrets = 64

// sent remembers secrets that were sent, so that [Authoriser.Hide] knows them.
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

// Hide leaves the secrets that were sent out of the error's text.
func (a *Authoriser) Hide(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return failure.Hide(err, slices.Clone(a.secrets)...)
}

// HideIn leaves the secrets that were sent out of a text.
func (a *Authoriser) HideIn(text string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return failure.Without(text, a.secrets...)
}

// choose returns the challenge to answer: one for a token if there is one, for a token
// reveals less than a password.
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

// obtain makes the Authorization for the challenge in seen. The caller holds the lock.
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

// credentials returns those that could be read. That some could not is no error, for
// the image may be public.
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

// Knows reports whether there are credentials for the repository.
func (a *Authoriser) Knows(ctx context.Context, repo string) bool {
	if a.acquire(ctx) != nil {
		return false
	}
	defer a.release()
	creds, err := a.credentials(ctx, repo)
	return err == nil && creds != (credentials.Login{})
}

// lacking is the error of a host that wants credentials of which there are none.
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
