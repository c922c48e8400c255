// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestPublicRegistryLeadsInside(t *testing.T) {
	asked := false
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inner.Close()
	for _, name := range []string{"127.0.0.1", "localhost"} {
		to := strings.Replace(inner.URL, "127.0.0.1", name, 1)
		registry := httptest.NewServer(http.RedirectHandler(to, http.StatusTemporaryRedirect))
		defer registry.Close()
		base, err := url.Parse(registry.URL)
		if err != nil {
			t.Fatal(err)
		}
		g := newGuard(base)
		g.reach = reachPublic
		client := &http.Client{Transport: newTransport(g, nil, 1<<20), CheckRedirect: g.checkRedirect}
		if _, err := client.Get(registry.URL); !IsRefusal(err) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	if asked {
		t.Error("the inner host was asked")
	}
	// A name is nothing to go by: what it resolves to is.
	g := newGuard(&url.URL{Scheme: "https", Host: "reg.example"})
	g.reach = reachPublic
	err := g.checkAddr("innocent.example:443", "169.254.169.254:443")
	if !IsRefusal(err) {
		t.Errorf("metadata address: got %v, want a refusal", err)
	}
	if err := g.checkAddr("innocent.example:443", "93.184.215.14:443"); err != nil {
		t.Errorf("public address: got %v", err)
	}
}

func TestIsPrivate(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "10.1.2.3": true, "169.254.169.254": true, "100.64.0.1": true, "0.0.0.0": true, "::1": true,
		"fe80::1": true, "fd00::1": true, "::ffff:127.0.0.1": true, "224.0.0.1": true,
		"8.8.8.8": false, "2606:4700::1111": false, "100.128.0.1": false,
		"0.1.2.3": true, "198.18.0.1": true, "198.20.0.1": false, "240.0.0.1": true, "255.255.255.255": true,
		"fe80::1%eth0": true, "fec0::1%1": true, "::ffff:10.0.0.1%2": true,
		"64:ff9b::127.0.0.1": true, "64:ff9b::a9fe:a9fe": true, "64:ff9b::8.8.8.8": false,
		"64:ff9b:1::8.8.8.8": true, "64:ff9b:1:a00:1::": true,
		"2002:7f00:1::": true, "2002:a01:203::1": true, "2002:808:808::1": false,
		"::10.0.0.1": true, "::ffff:0:192.168.0.1": true, "::ffff:0:8.8.8.8": false,
		"2001:0:4136:e378:8000:63bf:f7f7:f7f7": false, "2001:0:4136:e378:8000:63bf:f5ff:fffe": true,
		"2606:4700::5efe:10.0.0.1": true, "2606:4700::200:5efe:127.0.0.1": true, "2606:4700::5efe:8.8.8.8": false,
		"100::1": true,
	} {
		if got := isPrivate(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
}

func TestPrivateName(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "a.localhost.": true, "LOCALHOST": true, "127.0.0.1.": true, "127.1": true, "2130706433": true,
		"0x7f000001": true, "0x7f.1": true, "0177.0.0.1": true, "10.0.0.0x1": true, "[::1": false, "reg.example": false,
		"1.example": false, "8.8.8.8": false, "a.0xyz": false, "": false,
	} {
		if got := PrivateName(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}

// TestLinkLocal: nobody leads to a neighbour, and no name is one.
func TestLinkLocal(t *testing.T) {
	for _, c := range []struct {
		base, addr string
		public     bool
		own, other bool // refused
	}{
		{"reg.example", "169.254.169.254:80", false, true, true},
		{"reg.example", "[fe80::1%eth0]:443", false, true, true},
		{"reg.example", "[64:ff9b::a9fe:a9fe]:443", false, true, true},
		{"reg.example", "[2002:a9fe:a9fe::]:443", false, true, true},
		{"reg.example", "[fd00:ec2::254]:80", false, true, true},
		{"reg.example", "10.0.0.1:443", false, false, false},
		{"reg.example", "10.0.0.1:443", true, false, true},
		{"reg.example", "[::ffff:10.0.0.1]:443", true, false, true},
		{"169.254.1.1:5000", "169.254.1.1:5000", false, false, true},
		{"10.0.0.1", "169.254.169.254:80", false, false, true},
	} {
		g := newGuard(&url.URL{Scheme: "https", Host: c.base})
		if g.reach = reachPrivate; c.public {
			g.reach = reachPublic
		}
		if err := g.checkOwn("x", c.addr); IsRefusal(err) != c.own {
			t.Errorf("%s itself at %s: got %v", c.base, c.addr, err)
		}
		if err := g.checkAddr("x", c.addr); IsRefusal(err) != c.other {
			t.Errorf("%s leads to %s: got %v", c.base, c.addr, err)
		}
	}
	g := newGuard(&url.URL{Scheme: "http", Host: "127.0.0.1:5000"})
	for _, to := range []string{"http://169.254.169.254/", "http://[fe80::1%25eth0]/", "http://[::ffff:169.254.169.254]/", "http://[64:ff9b::169.254.169.254]/"} {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.checkURL(u); !IsRefusal(err) {
			t.Errorf("%s: got %v, want a refusal", to, err)
		}
	}
}

func TestCheckRedirectHeaders(t *testing.T) {
	g := newGuard(&url.URL{Scheme: "https", Host: "reg.example"})
	for to, keep := range map[string]bool{
		"https://reg.example/other": true, "https://reg.example:443/other": true, "https://reg.example:8443/": false,
		"https://sub.reg.example/": false, "https://cdn.example/": false,
	} {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		req := &http.Request{URL: u, Header: http.Header{"Authorization": {"x"}, "X-Mirror-Key": {"x"}, "Range": {"bytes=1-2"}}}
		via := []*http.Request{{URL: &url.URL{Scheme: "https", Host: "reg.example"}}}
		if err := g.checkRedirect(req, via); err != nil {
			t.Fatal(err)
		}
		if got := req.Header.Get("Authorization") != "" && req.Header.Get("X-Mirror-Key") != ""; got != keep {
			t.Errorf("%s: got headers %v, kept: want %v", to, req.Header, keep)
		}
		if req.Header.Get("Range") == "" {
			t.Errorf("%s: the range is lost", to)
		}
	}
}

// TestCallersTransport: whatever a caller's own dialler connects to is looked
// at before anything is sent there.
func TestCallersTransport(t *testing.T) {
	asked := false
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inner.Close()
	registry := httptest.NewServer(http.RedirectHandler("http://innocent.example/", http.StatusTemporaryRedirect))
	defer registry.Close()
	base, err := url.Parse(registry.URL)
	if err != nil {
		t.Fatal(err)
	}
	own := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "innocent.example:80" {
			addr = inner.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	g := newGuard(base)
	client := &http.Client{Transport: Options{Base: own}.roundTripper(g, &tls.Config{}), CheckRedirect: g.checkRedirect}
	for _, public := range []bool{false, true} {
		if g.reach = reachPrivate; public {
			g.reach = reachPublic
		}
		asked = false
		resp, err := client.Get(registry.URL)
		if err == nil {
			resp.Body.Close()
		}
		if IsRefusal(err) != public || asked == public {
			t.Errorf("public %v: got %v, asked %v", public, err, asked)
		}
		client.CloseIdleConnections()
	}
}
