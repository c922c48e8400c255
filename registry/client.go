// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/layerctl/layerctl/internal/hosts"
	"github.com/layerctl/layerctl/registry/internal/credentials"
)

// Options are what a [Client] goes by. The zero value works.
type Options struct {
	// AuthFile is a file in the form of docker's config.json (or containers'
	// auth.json) to take credentials from, and the only one. "" means
	// $LAYERCTL_AUTH_FILE, or else the first of the usual files that has some
	// for the host: docker's, then containers'.
	AuthFile string
	// Logins are credentials by host, as references name it, that go before
	// those of files. nil means none.
	Logins map[string]Login
	// PlainHTTP lists the hosts, as references name them ("localhost:5000"),
	// that are spoken to over http. For all others it is https: there is no
	// falling back, not for local addresses either.
	PlainHTTP []string
	// TokenHosts lists hosts of token servers that stored credentials may be
	// sent to though they are of another site than the registry that names
	// them. A known pair (Docker Hub's) and servers of the registry's own
	// domain need not be listed.
	TokenHosts []string
	// HostsDir is a directory of containerd's hosts.toml files, one directory a
	// registry; "" means /etc/containerd/certs.d.
	HostsDir string
	// K3sRegistries is a registries.yaml of k3s; "" means k3s's or RKE2's own.
	K3sRegistries string
	// RegistriesConf is containers' registries.conf; "" means the usual one.
	//
	// Of these three the first that says anything about a registry decides
	// which mirrors are asked, and how. A path that leads nowhere turns one
	// off.
	RegistriesConf string
	// UserAgent is sent with each request; "" means "layerctl".
	UserAgent string
	// Retries is how many rounds over all hosts are made without one new byte
	// before it is given up; 0 means 10, a negative number means none. A host
	// that has never answered gets 2 at most.
	Retries int
	// Backoff is the pause before the second retry, doubled each time up to 30
	// seconds, with jitter; 0 means 250 milliseconds. The first retry after
	// progress comes at once. A Retry-After of the server is honoured.
	Backoff time.Duration
	// StallTimeout is how long a connection may bring less than 1 KiB a second
	// before it is cut and tried again; 0 means a minute.
	StallTimeout time.Duration
	// LimitRate is how many bytes a second all connections together bring at
	// most; 0 means as many as come.
	LimitRate int64
	// Ranges is over how many connections at once a large blob is fetched, a
	// range of 4 MiB on each, for links that are slow for one connection; [MaxRanges]
	// at most. A blob then takes Ranges+1 times 4 MiB of memory. 0 and 1 mean one
	// connection, and so it is for blobs below 8 MiB, for hosts that send no
	// ranges, and for a blob that the same Source is asked for again: where
	// ranges went wrong, that is another way.
	Ranges int
	// StreamBuffer is how many bytes of a body HTTP/2 takes at most before they
	// are read; 0 means 4 MiB. Little makes long ways slow: no more than this
	// comes in one round trip.
	StreamBuffer int64
	// OnRequest is called after each request, also those for tokens and those
	// that follow redirects, from the goroutine that sent it. nil means no.
	OnRequest func(Request)
	// Logger tells of retries and of hosts that failed; nil is silent.
	Logger *slog.Logger

	chunk int64 // the size of a range; 0 means 4 MiB
}

// Login is a user's credentials.
type Login struct{ Username, Password string }

// Request tells of a request that was answered, or was not.
type Request struct {
	Method string
	// URL has neither user nor query, which may be secrets.
	URL    string
	Status int   // 0 where no answer came
	Err    error // why no answer came
}

// Client opens references. It may be used concurrently, and keeps connections
// and tokens between references.
type Client struct {
	o           Options
	credentials credentials.Store
	limit       *limiter

	mu    sync.Mutex
	peers map[string]*peer
}

// New returns a client.
func New(o Options) *Client {
	if o.UserAgent == "" {
		o.UserAgent = "layerctl"
	}
	switch {
	case o.Retries == 0:
		o.Retries = 10
	case o.Retries < 0:
		o.Retries = 0
	}
	if o.Backoff <= 0 {
		o.Backoff = 250 * time.Millisecond
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = time.Minute
	}
	if o.StreamBuffer <= 0 {
		o.StreamBuffer = 4 << 20
	}
	o.Ranges = min(o.Ranges, MaxRanges)
	if o.chunk == 0 {
		o.chunk = chunkSize
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{
		o: o, credentials: credentials.New(o.AuthFile), limit: newLimiter(o.LimitRate), peers: map[string]*peer{},
	}
}

// Open prepares to read what ref names. It sends no request; an archive or a
// layout is opened, and the former's table of contents read.
func (c *Client) Open(ctx context.Context, ref Reference) (*Source, error) {
	o, err := c.origin(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	return &Source{ref: ref, origin: o}, nil
}

func (c *Client) origin(ctx context.Context, ref Reference) (origin, error) {
	switch ref.transport {
	case Docker:
		return c.remote(ref)
	case OCI:
		return openLayout(ref)
	case OCIArchive:
		return openOCIArchive(ctx, ref)
	case DockerArchive:
		return openDockerArchive(ctx, ref)
	}
	return nil, as(ErrReference, "a reference that names nothing")
}

// peer returns what is known of one host, the same for every reference that
// is to speak to it in the same way.
func (c *Client) peer(name string, e hosts.Endpoint) (*peer, error) {
	// How a host is spoken to is told by all but these.
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
