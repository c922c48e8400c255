// SPDX-License-Identifier: Apache-2.0

// Package remote reads repositories of registries, from the registry itself
// and from its mirrors, over connections that break.
package remote

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/layerctl/layerctl/internal/hosts"
	"github.com/layerctl/layerctl/registry/internal/auth"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

// Options say how a [Client] works. Package registry documents them and fills in
// the defaults.
type Options struct {
	Files        hosts.Files // the files in which mirrors are configured
	CAFiles      []string    // files of authorities to trust beside the system's
	Credentials  auth.Lookup
	PlainHTTP    []string
	TokenHosts   []string
	UserAgent    string
	Retries      int
	Backoff      time.Duration
	StallTimeout time.Duration
	LimitRate    int64
	Ranges       int
	Chunk        int64 // the size of a range
	Transport    transport.Options
	OnRetry      func(Retry)
	Warn         func(text string) // tells the user of what made nothing fail
	Logger       *slog.Logger
}

// Client opens repositories. It keeps connections and tokens between them.
type Client struct {
	o     Options
	limit *transport.Limiter // of what comes
	sent  *transport.Limiter // of what is sent

	mu    sync.Mutex
	peers map[string]*peer // by name and configuration
	// lied holds the urls of foreign layers that sent other bytes than the digest's.
	lied sync.Map
}

// New returns a client.
func New(o Options) *Client {
	return &Client{o: o, limit: transport.NewLimiter(o.LimitRate), sent: transport.NewLimiter(o.LimitRate), peers: map[string]*peer{}}
}

// peer returns the peer of a host. All references share it for which the host is
// asked in the same way.
func (c *Client) peer(name string, e hosts.Endpoint) (*peer, error) {
	// All other fields decide how the host is asked.
	e.Repository, e.Pull, e.Resolve = "", false, false
	key := fmt.Sprintf("%s %#v", name, e)
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.peers[key]; ok {
		return p, nil
	}
	p, err := newPeer(c, name, e)
	if err == nil {
		c.peers[key] = p
	}
	return p, err
}
