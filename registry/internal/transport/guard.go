// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxRedirects is what browsers and curl allow at most, and then some.
const maxRedirects = 10

// policyError is a request that was not made because it must not be.
type policyError struct{ reason string }

func (e *policyError) Error() string { return "refused: " + e.reason }

// Refuse says that a request is not made because it must not be.
func Refuse(format string, args ...any) error {
	return &policyError{fmt.Sprintf(format, args...)}
}

// guard decides where one registry may send us. A public registry, or whoever
// speaks in its place, must not make us ask hosts that only we can reach:
// cloud metadata, services on this machine, the local network.
type guard struct {
	base   *url.URL // the registry, named by the user or a configuration file
	dialer net.Dialer
	choose proxyChoice

	mu      sync.Mutex
	reach   reach
	proxies map[string]bool // host:port
}

type reach int

const (
	reachUnknown reach = iota
	reachPrivate
	reachPublic
)

func newGuard(base *url.URL) *guard {
	return &guard{
		base:    base,
		dialer:  net.Dialer{Timeout: 30 * time.Second, KeepAlive: 15 * time.Second},
		choose:  proxyFromEnvironment(),
		proxies: map[string]bool{},
	}
}

// proxy says which one the environment wants for a request, and remembers that
// it may be dialled wherever it is.
func (g *guard) proxy(req *http.Request) (*url.URL, error) {
	u, err := g.choose(req)
	if u != nil {
		g.mu.Lock()
		g.proxies[hostPort(u)] = true
		g.mu.Unlock()
	}
	return u, err
}

// dial connects, and looks at the address itself, for a name may resolve to
// any and to another one the next time.
func (g *guard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := g.dialer
	own := addr == hostPort(g.base)
	if !g.isProxy(addr) {
		d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			if own {
				return g.checkOwn(addr, address)
			}
			return g.checkAddr(addr, address)
		}
	}
	conn, err := d.DialContext(ctx, network, addr)
	if err == nil && own {
		g.learn(conn.RemoteAddr().String())
	}
	return conn, err
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// watch looks at the address that a caller's own dialler connected to, before
// anything is sent there. nil dials as [guard.dial].
func (g *guard) watch(dial dialFunc) dialFunc {
	if dial == nil {
		return g.dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		remote, ok := conn.RemoteAddr().(*net.TCPAddr)
		switch {
		case !ok || g.isProxy(addr): // a tunnel leads where the caller knows
		case addr == hostPort(g.base):
			err = g.checkOwn(addr, remote.String())
			g.learn(remote.String())
		default:
			err = g.checkAddr(addr, remote.String())
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
}

func (g *guard) isProxy(addr string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proxies[addr]
}

// learn remembers whether the registry itself is of the public network. If
// some of its addresses are, it is.
func (g *guard) learn(address string) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !isPrivate(ap.Addr()) {
		g.reach = reachPublic
	} else if g.reach == reachUnknown {
		g.reach = reachPrivate
	}
}

// public says whether the registry is to be taken for a public one. Behind a
// proxy only its name can tell.
func (g *guard) public() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reach != reachUnknown {
		return g.reach == reachPublic
	}
	return !PrivateName(g.base.Hostname())
}

// who leads us on: the registry, or an image that lies in a file.
func (g *guard) who() string {
	if g.base.Host == "" {
		return "an image in a file"
	}
	return g.base.Host
}

// checkAddr judges the address that is about to be connected to. No link-local
// one has a blob, whoever leads there.
func (g *guard) checkAddr(name, address string) error {
	ap, err := netip.ParseAddrPort(address)
	switch {
	case err != nil:
		return Refuse("%s is at %s, which is no address", name, address)
	case isLinkLocal(ap.Addr()):
		return Refuse("%s leads to %s at %s, which is link-local", g.who(), name, ap.Addr())
	case isPrivate(ap.Addr()) && g.public():
		return Refuse("%s, which is public, leads to %s at %s, which is not", g.who(), name, ap.Addr())
	}
	return nil
}

// checkOwn lets the registry be where the user says, but not where a name leads
// to a neighbour: only who writes a link-local address means one.
func (g *guard) checkOwn(name, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return Refuse("%s is at %s, which is no address", name, address)
	}
	if named, _ := parseHost(g.base.Hostname()); isLinkLocal(ap.Addr()) && !named.IsValid() {
		return Refuse("%s is at %s, which is link-local", name, ap.Addr())
	}
	return nil
}

// checkURL looks at what a registry leads to, before there is an address.
func (g *guard) checkURL(u *url.URL) error {
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && g.base.Scheme == "http":
	default:
		return Refuse("%s leads to %s, from %s", g.who(), Redact(u), g.base.Scheme)
	}
	if u.Hostname() == "" {
		return Refuse("%s leads to a URL without a host", g.who())
	}
	if a, _ := parseHost(u.Hostname()); a.IsValid() && isLinkLocal(a) && u.Host != g.base.Host {
		return Refuse("%s leads to %s, which is link-local", g.who(), u.Host)
	}
	if u.Host != g.base.Host && PrivateName(u.Hostname()) && g.public() {
		return Refuse("%s, which is public, leads to %s, which is not", g.who(), u.Host)
	}
	return nil
}

// checkRedirect is for http.Client. It has the headers of the request that is
// about to be sent, copied by net/http's own, laxer rules.
func (g *guard) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return Refuse("%d redirects", len(via))
	}
	if req.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		return Refuse("%s redirects from https to %s", via[len(via)-1].URL.Host, req.URL.Scheme)
	}
	if err := g.checkURL(req.URL); err != nil {
		return err
	}
	// A storage host has no use for the registry's credentials (and S3 refuses
	// a request that has two kinds). One that was left once is not come back to.
	for _, v := range via {
		if !SameOrigin(req.URL, v.URL) {
			keepHarmless(req.Header)
		}
	}
	req.URL.User = nil
	return nil
}

// keepHarmless drops all headers that are not our own words: those of a
// mirror's configuration may be secrets, and Referer names the repository.
func keepHarmless(h http.Header) {
	for name := range h {
		switch name {
		case "Accept", "Accept-Encoding", "User-Agent", "Range", "If-Range":
		default:
			h.Del(name)
		}
	}
}

// SameOrigin compares scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(hostPort(a), hostPort(b))
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// IsRefusal finds a refusal of ours in what net/http returns.
func IsRefusal(err error) bool {
	var p *policyError
	return errors.As(err, &p)
}
