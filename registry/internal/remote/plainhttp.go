// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"crypto/tls"
	"errors"
	"net/url"

	"github.com/layerctl/layerctl/registry/internal/transport"
)

// overHTTP returns a function that makes, by newPeer, the peer that asks a host of
// this machine over http. It returns nil for all other hosts: what leaves the machine
// must be encrypted.
func overHTTP(base *url.URL, newPeer func(base string) (*peer, error)) func() (*peer, error) {
	if base.Scheme != "https" || !transport.IsLoopback(base.Hostname()) {
		return nil
	}
	u := *base
	u.Scheme = "http"
	return func() (*peer, error) { return newPeer(u.String()) }
}

// now returns the peer that asks over http once the host is known to speak no TLS;
// else p.
func (p *peer) now() *peer {
	if plain := p.plain.Load(); plain != nil {
		return plain
	}
	return p
}

// fallBack returns the peer that asks over http, if err says that the host speaks no
// TLS and http is allowed; else nil. It tells the user.
func (p *peer) fallBack(err error) *peer {
	var plain *transport.PlainHTTPError
	var other tls.RecordHeaderError
	here := errors.As(err, &plain) && plain.Peer == p.base.Host || errors.As(err, &other)
	if p.overHTTP == nil || !here {
		return nil
	}
	if plain := p.plain.Load(); plain != nil { // by another request meanwhile
		return plain
	}
	made, err := p.overHTTP()
	if err != nil {
		return nil
	}
	if p.plain.CompareAndSwap(nil, made) {
		p.warn(p.host + " is asked over http: it is on this machine, and speaks no https")
	}
	return p.now()
}
