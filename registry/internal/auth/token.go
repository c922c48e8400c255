// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/layerctl/layerctl/registry/internal/credentials"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
	"golang.org/x/net/publicsuffix"
)

// DockerHub is the host of Docker Hub as references name it.
const DockerHub = "docker.io"

// maxToken bounds the bytes of a token server's answer. A longer token fits into no
// server's limit on headers; Azure's, the longest known, have some kilobytes.
const maxToken = 256 << 10

// bearer is a token and when it expires.
type bearer struct {
	token   string
	expires time.Time
}

func (b bearer) header() string           { return "Bearer " + b.token }
func (b bearer) valid(now time.Time) bool { return now.Before(b.expires) }

// fetchToken asks the token server that the challenge names, as
// https://distribution.github.io/distribution/spec/auth/token/ and
// https://distribution.github.io/distribution/spec/auth/oauth/ say.
func (a *Authoriser) fetchToken(ctx context.Context, repo string, creds credentials.Login) (bearer, error) {
	realm, err := a.realm()
	if err != nil {
		return bearer{}, failure.Final(failure.Mark(failure.Denied, err))
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.Patience)
	defer cancel()
	withheld := creds != (credentials.Login{}) && !a.trusts(realm)
	if withheld {
		a.show(shown{withheld: realm.Host})
		creds = credentials.Login{}
	}
	req, err := a.tokenRequest(ctx, realm, repo, creds)
	if err != nil {
		return bearer{}, failure.Final(failure.New(failure.Denied, "token server %s: %w", realm.Host, err))
	}
	t, err := a.readToken(ctx, req)
	if withheld && errors.Is(err, failure.Denied) {
		return bearer{}, failure.Final(failure.Mark(failure.Denied, fmt.Errorf(
			"%w (credentials for %s were not sent to %s, which is another site; if it may have them, name it as a token host)", err, a.o.Host, realm.Host)))
	}
	return t, err
}

// realm returns the URL of the token server. It must be such as a redirect of the
// registry may lead to.
func (a *Authoriser) realm() (*url.URL, error) {
	text := a.seen.Params["realm"]
	u, err := url.Parse(text)
	if text == "" {
		return nil, fmt.Errorf("%s names no token server", a.o.Host)
	}
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s names token server \"%s\", which is no URL of a host", a.o.Host, failure.OneLine(text))
	}
	if u.User != nil || (u.Scheme != "https" && u.Scheme != a.o.Base.Scheme) {
		return nil, transport.Refuse("%s, at %s, names token server %s", a.o.Host, a.o.Base.Scheme, failure.OneLine(transport.Redact(u)))
	}
	// The dialler checks the address, but behind a proxy it does not see that.
	if err := a.o.Client.CheckRedirect(&http.Request{URL: u, Header: http.Header{}}, []*http.Request{{URL: a.o.Base}}); err != nil {
		return nil, err
	}
	return u, nil
}

// trusts reports whether the user's credentials may be sent to the token server that
// the challenge names. They may be sent to the registry's own host or site, to Docker
// Hub's token server, and to Options.TokenHosts: whoever answers in the registry's
// place may name any server.
func (a *Authoriser) trusts(realm *url.URL) bool {
	r, h := realm.Hostname(), a.o.Base.Hostname()
	switch {
	case strings.EqualFold(r, h):
		return true
	case a.o.Host == DockerHub && r == "auth.docker.io":
		return true
	case slices.Contains(a.o.TokenHosts, realm.Host), slices.Contains(a.o.TokenHosts, r):
		return true
	}
	rs, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(r))
	if err != nil || transport.PrivateName(r) {
		return false
	}
	hs, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(h))
	return err == nil && rs == hs && !isAddress(r)
}

func isAddress(host string) bool {
	return strings.Contains(host, ":") || failure.Digits(strings.ReplaceAll(host, ".", ""))
}

// scope returns the scopes to ask a token for: those that the registry named, or else
// pull. A push adds the right to push, for the registry names less where the first
// requests of a push only read.
func (a *Authoriser) scope(repo string) []string {
	pull := "repository:" + repo + ":pull"
	named := a.scopes[repo]
	switch push := pull + ",push"; {
	case a.o.Push && repo != "" && !slices.Contains(named, push):
		return append(slices.DeleteFunc(slices.Clone(named), func(s string) bool { return s == pull }), push)
	case len(named) > 0:
		return named
	case repo == "":
		return nil
	}
	return []string{pull}
}

// tokenRequest makes the request for a token: a POST with an identity token, or else a
// GET, with the name and password if there are any.
func (a *Authoriser) tokenRequest(ctx context.Context, realm *url.URL, repo string, creds credentials.Login) (*http.Request, error) {
	q := url.Values{}
	if s := a.seen.Params["service"]; s != "" {
		q.Set("service", s)
	}
	method, body := http.MethodGet, io.Reader(nil)
	u := *realm
	if creds.IdentityToken != "" {
		q.Set("grant_type", "refresh_token")
		q.Set("refresh_token", creds.IdentityToken)
		q.Set("client_id", "layerctl")
		q.Set("scope", strings.Join(a.scope(repo), " "))
		method, body = http.MethodPost, strings.NewReader(q.Encode())
	} else {
		for _, s := range a.scope(repo) {
			q.Add("scope", s)
		}
		given := u.Query()
		for name, values := range q {
			given[name] = values
		}
		u.RawQuery = given.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", a.o.UserAgent)
	switch {
	case method == http.MethodPost:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case creds.Username != "" || creds.Password != "":
		req.Header.Set("Authorization", basic(creds))
	}
	return req, nil
}

// readToken sends the request for a token.
func (a *Authoriser) readToken(ctx context.Context, req *http.Request) (bearer, error) {
	client := *a.o.Client
	if req.Method == http.MethodPost {
		// A redirect would send on the body, which has the credentials.
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	object := "token from " + req.Method + " " + transport.Redact(req.URL)
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		err = failure.Unanswered(ctx, fmt.Errorf("%s: %w", object, transport.Explain(err)))
		if transport.IsRefusal(err) {
			err = failure.Final(err)
		}
		return bearer{}, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return bearer{}, tokenRefused(transport.NewStatusError(resp, time.Now()))
	}
	defer resp.Body.Close()
	return parseToken(resp.Body, object, time.Now())
}

// tokenRefused makes a refusal of a token server match [failure.Denied], whatever its
// status: some answer 400 or 404 to unknown credentials.
func tokenRefused(e *transport.StatusError) error {
	if e.Status >= 300 && e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout {
		return failure.Final(failure.Mark(failure.Denied, fmt.Errorf("token from %w", e)))
	}
	return fmt.Errorf("token from %w", e)
}

// parseToken reads a token server's answer. object is for errors.
func parseToken(body io.Reader, object string, now time.Time) (bearer, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxToken+1))
	if err != nil {
		return bearer{}, failure.New(failure.Network, "%s: %w", object, err)
	}
	var answer struct {
		Token       string          `json:"token"`
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
		// issued_at is not read, for the server's clock may differ from ours.
	}
	if len(raw) > maxToken {
		return bearer{}, failure.Final(failure.New(failure.Network, "%s: answer of more than %d bytes", object, maxToken))
	}
	// The error of encoding/json may repeat what it read, which is a secret.
	if json.Unmarshal(raw, &answer) != nil {
		return bearer{}, failure.Final(failure.New(failure.Network, "%s: the answer is not a token's JSON", object))
	}
	token := answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if token == "" {
		return bearer{}, failure.Final(failure.New(failure.Denied, "%s: the answer has no token", object))
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return bearer{}, failure.Final(failure.New(failure.Network, "%s: the token has characters that no header may have", object))
	}
	return bearer{token, now.Add(lifetime(answer.ExpiresIn))}, nil
}

// lifetime returns how long a token is valid, by expires_in: a number of seconds, which
// some servers write with a fraction or as a string. Without it, it is a minute, as the
// specification says; it is never more than a day.
func lifetime(raw json.RawMessage) time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `" `), 64)
	if err != nil || !(seconds > 0) {
		return time.Minute
	}
	return time.Duration(min(seconds, 24*3600) * float64(time.Second))
}
