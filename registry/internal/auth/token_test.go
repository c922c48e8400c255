// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/url"
	"testing"
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
