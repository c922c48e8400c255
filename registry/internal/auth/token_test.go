// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTrusts(t *testing.T) {
	tests := []struct {
		host, realm string
		want        bool
	}{
		{"docker.io", "https://auth.docker.io/token", true},
		{"docker.io", "https://auth.docker.com/token", false},
		{"registry.gitlab.com", "https://gitlab.com/jwt/auth", true},
		{"registry.example.com", "https://gitlab.example.com/jwt/auth", true},
		{"ghcr.io", "https://ghcr.io/token", true},
		{"ghcr.io", "https://evil.io/token", false},
		{"a.co.uk", "https://b.co.uk/token", false},
		{"a.github.io", "https://b.github.io/token", false},
		{"10.0.0.1:5000", "https://10.0.0.1:5001/token", true},
		{"10.0.0.1:5000", "https://20.0.0.1/token", false},
		{"localhost:5000", "https://localhost:5001/token", true},
		{"[::1]:5000", "https://[::2]/token", false},
		{"reg", "https://auth/token", false},
	}
	for _, tt := range tests {
		u, err := url.Parse(tt.realm)
		if err != nil {
			t.Fatal(err)
		}
		base := &url.URL{Scheme: "https", Host: tt.host}
		if got := New(Options{Host: tt.host, Base: base}).trusts(u); got != tt.want {
			t.Errorf("%s trusts %s: got %v, want %v", tt.host, tt.realm, got, tt.want)
		}
	}
}

func TestParseToken(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		answer, token string
		life          time.Duration
	}{
		{`{"token":"t"}`, "t", time.Minute},
		{`{"access_token":"t"}`, "t", time.Minute},
		{`{"token":"t","access_token":"u"}`, "t", time.Minute},
		{`{"token":"t","expires_in":300}`, "t", 300 * time.Second},
		{`{"token":"t","expires_in":"300"}`, "t", 300 * time.Second},
		{`{"token":"t","expires_in":299.5}`, "t", 299500 * time.Millisecond},
		{`{"token":"t","expires_in":"1.5"}`, "t", 1500 * time.Millisecond},
		{`{"token":"t","expires_in":3e2}`, "t", 300 * time.Second},
		{`{"token":"t","expires_in":1e300}`, "t", 24 * time.Hour},
		{`{"token":"t","expires_in":0}`, "t", time.Minute},
		{`{"token":"t","expires_in":-5}`, "t", time.Minute},
		{`{"token":"t","expires_in":null}`, "t", time.Minute},
		{`{"token":"t","expires_in":"soon"}`, "t", time.Minute},
		{`{"token":"t","expires_in":"NaN"}`, "t", time.Minute},
		{`{"token":"t","expires_in":{}}`, "t", time.Minute},
		{`{"token":"t","issued_at":""}`, "t", time.Minute},
		{`{"token":"t","issued_at":"yesterday"}`, "t", time.Minute},
		{`{"token":"t","issued_at":1700000000}`, "t", time.Minute},
		{`{"token":"t","issued_at":null,"refresh_token":5,"scope":[]}`, "t", time.Minute},
		{`{"token":""}`, "", 0},
		{`{"token":5}`, "", 0},
		{`{"secret":"s3"`, "", 0},
		{`["s3"]`, "", 0},
		{`null`, "", 0},
		{``, "", 0},
		{`{"token":"` + strings.Repeat("t", maxToken) + `"}`, "", 0},
	} {
		got, err := parseToken(strings.NewReader(c.answer), "token", now)
		want := bearer{c.token, now.Add(c.life)}
		if c.token == "" && err == nil || c.token != "" && (err != nil || got != want) {
			t.Errorf("%.80s: got %v, %v, want %v", c.answer, got, err, want)
		}
		if strings.Contains(fmt.Sprint(err), "s3") {
			t.Errorf("%.80s: error %q tells a secret", c.answer, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(`{"token":"t","expires_in":"1.5","issued_at":""}`)
	f.Add(`{"access_token":"t","expires_in":-1e400}`)
	f.Fuzz(func(t *testing.T, answer string) {
		now := time.Unix(0, 0)
		b, err := parseToken(strings.NewReader(answer), "token", now)
		if err == nil && (b.token == "" || b.expires.Before(now) || b.expires.After(now.Add(24*time.Hour))) {
			t.Errorf("%s: got %v", answer, b)
		}
	})
}
