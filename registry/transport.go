// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/layerctl/layerctl/internal/hosts"
)

// newHTTPClient makes the client for one registry, all that it redirects to
// and its token server. Each registry has its own: what may be dialled depends
// on who sends us there, so connections are not shared. Without http2 each answer
// has a connection of its own while it lasts: HTTP/2 would have them all share
// one, and what a link gives to one.
func newHTTPClient(o Options, base *url.URL, e hosts.Endpoint, http2 bool) (*http.Client, error) {
	g := newGuard(base)
	roots, err := authorities(e.CA)
	if err != nil {
		return nil, err
	}
	buffer := int(o.StreamBuffer)
	if !http2 {
		buffer = 0
	}
	strangers := newTransport(g, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, buffer)
	own := strangers
	if e.SkipVerify || len(e.Client) > 0 {
		c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.SkipVerify}
		for _, pair := range e.Client {
			cert, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
			if err != nil {
				return nil, fmt.Errorf("client certificate: %w", err)
			}
			c.Certificates = append(c.Certificates, cert)
		}
		own = newTransport(g, c, buffer)
	}
	return &http.Client{
		Transport:     &observed{&split{base, own, strangers}, o.OnRequest},
		CheckRedirect: g.checkRedirect,
	}, nil
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
		// A server may send what it likes before the body; this is Go's
		// default for servers.
		MaxResponseHeaderBytes: 1 << 20,
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
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("certificates of authorities: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificates of authorities: %s has none", name)
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
	if sameOrigin(req.URL, t.base) {
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
		r := Request{Method: req.Method, URL: redact(req.URL), Err: err}
		if resp != nil {
			r.Status = resp.StatusCode
		}
		t.tell(r)
	}
	return resp, err
}
