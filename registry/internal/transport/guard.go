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

// maxRedirects bounds how many redirects one request follows, as Go's default does.
const maxRedirects = 10

// policyError says why a request must not be sent.
type policyError struct{ reason string }

func (e *policyError) Error() string { return "refused: " + e.reason }

// Refuse returns the error of a request that is not sent because it must not be.
func Refuse(format string, args ...any) error {
	return &policyError{fmt.Sprintf(format, args...)}
}

// guard decides to which hosts one registry may redirect. A public registry, or whoever
// answers in its place, must not make this machine send requests to hosts that only
// this machine can reach: cloud metadata, its own services, the local network.
type guard struct {
	base   *url.URL // the registry, named by the user or a configuration file
	dialer net.Dialer
	choose proxyChoice

	mu      sync.Mutex
	reach   reach
	proxies map[string]bool // the proxies in use, as HOST:PORT
}

// reach is whether the registry is on the public network, by the addresses that were
// dialled so far.
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

// proxy returns the proxy for a request, and remembers that it may be dialled whatever
// its address is.
func (g *guard) proxy(req *http.Request) (*url.URL, error) {
	u, err := g.choose(req)
	if u != nil {
		g.mu.Lock()
		g.proxies[hostPort(u)] = true
		g.mu.Unlock()
	}
	return u, err
}

// dial connects, and checks the very address that it connects to: a name may resolve to
// any address, and to another one the next time.
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

// watch wraps a caller's own dialler: it checks the address that this has connected to,
// before anything is sent there. For nil it returns [guard.dial].
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
		case !ok || g.isProxy(addr): // the caller's own tunnel has no address to check
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

// learn remembers whether the registry itself is on the public network: it is if any
// of its addresses is.
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

// public reports whether the registry is on the public network: by its address, or by
// its name while no address is known, as behind a proxy.
func (g *guard) public() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reach != reachUnknown {
		return g.reach == reachPublic
	}
	return !PrivateName(g.base.Hostname())
}

// who names in errors what has named a URL: the registry, or an image in a file.
func (g *guard) who() string {
	if g.base.Host == "" {
		return "an image in a file"
	}
	return g.base.Host
}

// checkAddr refuses an address that another host than the registry has: a private one,
// if the registry is public, and any link-local one, where nobody keeps blobs.
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

// checkOwn checks the address of the registry itself. It may be any, but a link-local
// one only where the user has written the address: a name may resolve to it by deceit.
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

// checkURL refuses a URL to which the registry must not lead, by its text.
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

// checkRedirect is the CheckRedirect of [http.Client]. It also drops headers, because
// net/http has copied more of them to req than another host may see.
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
	// Another host must not see the registry's credentials, and S3 refuses a request
	// that has them beside a signature. A redirect back does not restore them.
	for _, v := range via {
		if !SameOrigin(req.URL, v.URL) {
			keepHarmless(req.Header)
		}
	}
	req.URL.User = nil
	return nil
}

// keepHarmless drops all headers but those that this module sets and that are not
// secret: a mirror's configuration may have secret ones, and Referer names the
// repository.
func keepHarmless(h http.Header) {
	for name := range h {
		switch name {
		case "Accept", "Accept-Encoding", "User-Agent", "Range", "If-Range":
		default:
			h.Del(name)
		}
	}
}

// SameOrigin reports whether two URLs have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(hostPort(a), hostPort(b))
}

// hostPort returns HOST:PORT, with the scheme's own port where the URL has none.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// IsRefusal reports whether err is, or wraps, an error of [Refuse].
func IsRefusal(err error) bool {
	var p *policyError
	return errors.As(err, &p)
}
