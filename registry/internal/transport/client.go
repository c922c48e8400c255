// SPDX-License-Identifier: Apache-2.0

// Package transport sends requests to a registry and to the hosts that it redirects
// to. It refuses requests that a registry must not make this machine send.
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

// Options say how requests are sent.
type Options struct {
	// Base sends the requests; nil means a transport of this package.
	Base http.RoundTripper
	// StreamBuffer is how many bytes of a body HTTP/2 accepts before they are read.
	StreamBuffer int64
	// OnRequest is called after each request; nil is not called.
	OnRequest func(Request)
}

// Request describes a request, whether it was answered or not.
type Request struct {
	Method string
	// URL is without the user, and has "…" in place of a query: both may be secret.
	URL    string
	Status int   // 0 where no answer came
	Err    error // why no answer came
}

// Client sends requests to one registry, and follows its redirects.
type Client struct {
	*http.Client
	// Elsewhere sends requests to URLs that the registry's documents and answers
	// name. They must be such as a redirect may lead to, and are not shown the client
	// certificate that the registry is.
	Elsewhere *http.Client
}

// NewElsewhere makes the [Client.Elsewhere] of documents in a file, which come from no
// registry: their URLs must be public and https.
func NewElsewhere(o Options) *http.Client {
	g := newGuard(&url.URL{Scheme: "https"})
	return o.elsewhere(g, o.roundTripper(g, &tls.Config{MinVersion: tls.VersionTLS12}))
}

func (o Options) elsewhere(g *guard, strangers http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     &observed{&guarded{g, strangers}, o.OnRequest},
		CheckRedirect: g.checkRedirect,
	}
}

// guarded sends only requests to which a redirect may lead.
type guarded struct {
	guard     *guard
	strangers http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.guard.checkURL(req.URL); err != nil {
		return nil, err
	}
	return t.strangers.RoundTrip(req)
}

// NewClient makes the client for one registry, the hosts that it redirects to and its
// token server. Registries share no client, and so no connection, because it depends on
// the registry which addresses may be dialled. Without http2 each answer has its own
// connection while it lasts; with HTTP/2 all share one, and its rate.
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
	return &Client{Elsewhere: o.elsewhere(g, strangers), Client: &http.Client{
		Transport:     &observed{&split{base, own, strangers}, o.OnRequest},
		CheckRedirect: g.checkRedirect,
	}}, nil
}

// keyPair reads a client certificate and its key.
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

// roundTripper returns what sends requests under the guard: o.Base or else a transport
// of this package. Of an o.Base that is no [*http.Transport] the guard cannot see what
// it dials, and c does not apply to it.
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

// newTransport returns a transport of this package. It speaks HTTP/2 unless buffer, the
// bytes that each stream accepts before they are read, is 0.
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
		// Headers are kept in memory.
		MaxResponseHeaderBytes: 256 << 10,
		// The pings notice when the HTTP/2 connection that all streams share is dead.
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, MaxReceiveBufferPerStream: buffer,
		},
	}
}

// authorities returns the system's authorities and those of the files; nil means the
// system's alone.
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

// split sends requests to the registry by own, and all others by strangers. Other hosts
// must not see the client certificate that is configured for the registry, and their
// certificates are verified even if the registry's is not.
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

// observed calls tell after each request, also after those of redirects and for tokens.
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
