// SPDX-License-Identifier: Apache-2.0

// Package transport sends requests to one registry, and to whom it leads,
// within the limits of what a registry may make us do.
package transport

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/hosts"
)

// Options are how requests are sent.
type Options struct {
	// Base sends them in place of a transport of our own; nil is ours.
	Base http.RoundTripper
	// StreamBuffer is how many bytes of a body HTTP/2 takes at most before
	// they are read.
	StreamBuffer int64
	// OnRequest is called after each request; nil is not.
	OnRequest func(Request)
}

// Request tells of a request that was answered, or was not.
type Request struct {
	Method string
	// URL has neither user nor query, which may be secrets.
	URL    string
	Status int   // 0 where no answer came
	Err    error // why no answer came
}

// Client sends requests to one registry, and to all that it leads to.
type Client struct {
	*http.Client
	// Led sends them where a document of the registry says that something is:
	// under the rules of redirects from the first request on, and without the
	// certificate that the registry is shown.
	Led *http.Client
}

// NewLed is [Client.Led] for documents that lie in a file: nobody was asked for
// them, so they lead to what is public, and by https.
func NewLed(o Options) *http.Client {
	g := newGuard(&url.URL{Scheme: "https"})
	return o.led(g, o.roundTripper(g, &tls.Config{MinVersion: tls.VersionTLS12}))
}

func (o Options) led(g *guard, strangers http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     &observed{&leashed{g, strangers}, o.OnRequest},
		CheckRedirect: g.checkRedirect,
	}
}

// leashed goes where a redirect may lead.
type leashed struct {
	guard     *guard
	strangers http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *leashed) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.guard.checkURL(req.URL); err != nil {
		return nil, err
	}
	return t.strangers.RoundTrip(req)
}

// NewClient makes the client for one registry, all that it redirects to and
// its token server. Each registry has its own: what may be dialled depends on
// who sends us there, so connections are not shared. Without http2 each answer
// has a connection of its own while it lasts: HTTP/2 would have them all share
// one, and what a link gives to one.
func NewClient(o Options, base *url.URL, e hosts.Endpoint, http2 bool) (*Client, error) {
	g := newGuard(base)
	roots, err := authorities(e.CA)
	if err != nil {
		return nil, err
	}
	if !http2 {
		o.StreamBuffer = 0
	}
	strangers := o.roundTripper(g, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	own := strangers
	if e.SkipVerify || len(e.Client) > 0 {
		c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.SkipVerify}
		for _, pair := range e.Client {
			cert, err := keyPair(pair)
			if err != nil {
				return nil, fmt.Errorf("client certificate: %w", err)
			}
			c.Certificates = append(c.Certificates, cert)
		}
		own = o.roundTripper(g, c)
	}
	return &Client{Led: o.led(g, strangers), Client: &http.Client{
		Transport:     &observed{&split{base, own, strangers}, o.OnRequest},
		CheckRedirect: g.checkRedirect,
	}}, nil
}

// keyPair reads a certificate to show.
func keyPair(pair hosts.KeyPair) (tls.Certificate, error) {
	cert, err := hosts.ReadFile(pair.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := hosts.ReadFile(pair.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// roundTripper is the caller's, where there is one, behind the guard. One that
// is no http.Transport dials unseen, and has TLS of its own.
func (o Options) roundTripper(g *guard, c *tls.Config) http.RoundTripper {
	if o.Base == nil {
		return newTransport(g, c, int(o.StreamBuffer))
	}
	base, ok := o.Base.(*http.Transport)
	if !ok {
		return o.Base
	}
	t := base.Clone()
	t.DisableCompression = true
	t.DialContext = g.watch(t.DialContext)
	if t.DialTLSContext != nil {
		t.DialTLSContext = g.watch(t.DialTLSContext)
	}
	if t.Proxy != nil {
		g.choose = func(req *http.Request) (*url.URL, error) { return base.Proxy(req) }
		t.Proxy = g.proxy
	}
	own := t.TLSClientConfig
	if own == nil {
		own = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.RootCAs != nil {
		own.RootCAs = c.RootCAs
	}
	own.InsecureSkipVerify = own.InsecureSkipVerify || c.InsecureSkipVerify
	own.Certificates = append(own.Certificates, c.Certificates...)
	t.TLSClientConfig = own
	return t
}

// newTransport speaks HTTP/2 where buffer, in bytes for each stream, is not 0.
func newTransport(g *guard, c *tls.Config, buffer int) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(buffer > 0)
	return &http.Transport{
		Proxy:                  g.proxy,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            g.dial,
		TLSClientConfig:        c,
		Protocols:              &protocols,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    15 * time.Second,
		// What a server sends before the body is held in memory.
		MaxResponseHeaderBytes: 256 << 10,
		// Finds out that an HTTP/2 connection is dead, which all streams share.
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, MaxReceiveBufferPerStream: buffer,
		},
	}
}

// authorities are the system's and those of the files; nil is the system's.
func authorities(files []string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, name := range files {
		pem, err := hosts.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("certificates of authorities: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errkind.With(errkind.Usage, fmt.Errorf("certificates of authorities: %s has none in PEM", name))
		}
	}
	return pool, nil
}

// split speaks to the registry as it is configured, and to whom it leads us
// without: its client certificate is not theirs to see, and that its own
// certificate need not be verified says nothing about theirs.
type split struct {
	base           *url.URL
	own, strangers http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *split) RoundTrip(req *http.Request) (*http.Response, error) {
	if SameOrigin(req.URL, t.base) {
		return t.own.RoundTrip(req)
	}
	return t.strangers.RoundTrip(req)
}

// observed tells of each single request, redirects and tokens included.
type observed struct {
	http.RoundTripper
	tell func(Request)
}

// RoundTrip implements http.RoundTripper.
func (t *observed) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if t.tell != nil {
		r := Request{Method: req.Method, URL: Redact(req.URL), Err: err}
		if resp != nil {
			r.Status = resp.StatusCode
		}
		t.tell(r)
	}
	return resp, err
}
