// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"crypto/tls"
	"errors"
	"net/url"

	"github.com/layerctl/layerctl/registry/internal/transport"
)

// overHTTP is how to ask a host of this machine over http, by again, which
// makes a peer of the base; nil for all others: what the network carries is to
// be encrypted, and what the loopback interface carries leaves no machine.
func overHTTP(base *url.URL, again func(base string) (*peer, error)) func() (*peer, error) {
	if base.Scheme != "https" || !transport.IsLoopback(base.Hostname()) {
		return nil
	}
	u := *base
	u.Scheme = "http"
	return func() (*peer, error) { return again(u.String()) }
}

// now is the peer as it is to be asked: over http once it is known to speak no
// https.
func (p *peer) now() *peer {
	if plain := p.plain.Load(); plain != nil {
		return plain
	}
	return p
}

// fallBack is the peer to ask over http after an error that says that what it
// speaks is no TLS, or nil. It tells the user.
func (p *peer) fallBack(err error) *peer {
	var plain *transport.PlainHTTPError
	var other tls.RecordHeaderError
	here := errors.As(err, &plain) && plain.Peer == p.base.Host || errors.As(err, &other)
	if p.overHTTP == nil || !here || p.plain.Load() != nil {
		return nil
	}
	made, err := p.overHTTP()
	if err != nil {
		return nil
	}
	p.warn(p.host + " is asked over http: it is on this machine, and speaks no https")
	p.plain.CompareAndSwap(nil, made)
	return p.now()
}
