// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

// TestCredentialsHook: after Logins and before files.
func TestCredentialsHook(t *testing.T) {
	t.Parallel()
	s := serve(t, basicOnly)
	hook := func(l Login, err error) func(context.Context, string) (Login, error) {
		return func(_ context.Context, host string) (Login, error) {
			if host != s.host {
				t.Errorf("asked for %q, want %q", host, s.host)
			}
			return l, err
		}
	}
	right, wrong := Login{"alice", "secret"}, Login{"alice", "wrong"}
	for _, c := range []struct {
		name   string
		logins map[string]Login
		hook   func(context.Context, string) (Login, error)
		file   string // the password in it
		denied string
	}{
		{"the hook", nil, hook(right, nil), "wrong", ""},
		{"a login goes before it", map[string]Login{s.host: right}, hook(wrong, nil), "wrong", ""},
		{"it knows none", nil, hook(Login{}, nil), "secret", ""},
		{"it is wrong", nil, hook(wrong, nil), "secret", "401"},
		{"it fails", nil, hook(Login{}, errors.New("the vault is shut")), "secret", "the vault is shut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := plain(s)
			o.Logins, o.Credentials, o.AuthFile = c.logins, c.hook, authFile(t, s.host, "alice", c.file)
			_, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context())
			if c.denied != "" {
				wantError(t, err, ErrDenied, c.denied)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

type countingTransport struct {
	http.RoundTripper
	requests int
}

func (c *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests++
	return c.RoundTripper.RoundTrip(r)
}

// TestTransportHook: all requests go through the caller's own.
func TestTransportHook(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	o := plain(s)
	own := &countingTransport{RoundTripper: &http.Transport{}}
	o.Transport = own
	src := open(t, New(o), s.host+"/library/hello")
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.asked(); own.requests != len(got) || len(got) != 1 {
		t.Errorf("%d of requests %q", own.requests, got)
	}
}
