// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/layerctl/layerctl/internal/hosts"
	"github.com/layerctl/layerctl/registry/internal/auth"
	"github.com/layerctl/layerctl/registry/internal/credentials"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/local"
	"github.com/layerctl/layerctl/registry/internal/remote"
	"github.com/layerctl/layerctl/registry/internal/transport"
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
	// Credentials finds the login for a host, as references name it, where
	// Logins has none and before files are read; a zero Login leaves it to
	// the files. nil finds none.
	Credentials func(ctx context.Context, host string) (Login, error)
	// PlainHTTP lists the hosts, as references name them ("localhost:5000"),
	// that are spoken to over http. For all others it is https. A registry of
	// this machine by its name (localhost, 127.0.0.0/8, ::1) that speaks no TLS
	// is asked over http, unless certificates are configured for it; OnWarning
	// is told. For no other is there a falling back.
	PlainHTTP []string
	// CAFiles are PEM files of authorities to trust beside the system's, whoever
	// is asked. nil means none but those that HostsDir, K3sRegistries,
	// /etc/containers/certs.d and /etc/docker/certs.d name for a host.
	CAFiles []string
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
	// which mirrors are asked, and how. What RegistriesConf blocks is blocked
	// whichever decides. A path that leads nowhere turns one off.
	RegistriesConf string
	// Foreign has layers that are not where their image is fetched from the urls
	// that its manifest has for them, one after the other: without credentials,
	// and only where a redirect of the registry may lead. For an image in a file
	// that is what is public, by https.
	Foreign bool
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
	// Transport sends the requests in place of a transport of this package's
	// own. What may be asked stays as it is: no redirect leads from a public
	// host to a private one, by its name or by the address that an
	// [*http.Transport] connects to. Any other RoundTripper dials unseen, and
	// what is configured of certificates is its own affair. nil means one of
	// this package's own.
	Transport http.RoundTripper
	// Archives says how archives are opened.
	Archives ArchiveOptions
	// OnRequest is called after each request, also those for tokens and those
	// that follow redirects, from the goroutine that sent it. nil means no.
	OnRequest func(Request)
	// OnWarning is called with what a user should know and that stops nothing,
	// such as a credential helper that fails: each text once, from any
	// goroutine. nil means no.
	OnWarning func(text string)
	// OnRetry is called before each pause after which hosts are asked again, and
	// when what was waited for comes, from any goroutine. nil means no.
	OnRetry func(Retry)
	// Logger tells of retries and of hosts that failed; nil is silent.
	Logger *slog.Logger

	chunk int64 // the size of a range; 0 means 4 MiB
}

// ArchiveOptions say how an archive is opened that cannot be read where it
// lies: one that is compressed as a whole, or comes from standard input.
type ArchiveOptions = local.Options

// Login is a user's credentials.
type Login struct{ Username, Password string }

// Request tells of a request that was answered, or was not.
type Request = transport.Request

// Retry tells of a pause before hosts are asked again, and of its end.
type Retry = remote.Retry

// Traffic is what one host has sent.
type Traffic = remote.Traffic

const (
	// chunkSize is what one request asks for where several go on at once: long
	// enough that the pause in front of it does not count, short enough to wait
	// for in memory.
	chunkSize = 4 << 20
	// MaxRanges is as many ranges at once as one registry should have to bear.
	MaxRanges = 16
)

// RangeMemory is the memory in bytes that a blob takes with [Options].Ranges
// for what is fetched ahead: a range for each connection, and one that is being
// read.
func RangeMemory(ranges int) int64 {
	if ranges < 2 {
		return 0
	}
	return int64(ranges+1) * chunkSize
}

// Client opens references. It may be used concurrently, and keeps connections
// and tokens between references.
type Client struct {
	o        Options
	once     sync.Once
	remote   *remote.Client
	archives *local.Archives
}

// New returns a client. The zero Client is New(Options{}).
func New(o Options) *Client { return &Client{o: o} }

// network is the part of the client that speaks to registries.
func (c *Client) network() *remote.Client {
	c.once.Do(c.prepare)
	return c.remote
}

// files is the part of the client that opens archives.
func (c *Client) files() *local.Archives {
	c.once.Do(c.prepare)
	return c.archives
}

func (c *Client) prepare() {
	o := c.o.withDefaults()
	c.remote = remote.New(o.remote())
	c.archives = local.NewArchives(o.Archives, o.Logger)
}

// remote are the options of what speaks to registries. The defaults must be
// filled in.
func (o Options) remote() remote.Options {
	return remote.Options{
		Files:        o.files(),
		CAFiles:      o.CAFiles,
		Credentials:  o.credentials(),
		PlainHTTP:    o.PlainHTTP,
		TokenHosts:   o.TokenHosts,
		UserAgent:    o.UserAgent,
		Retries:      o.Retries,
		Backoff:      o.Backoff,
		StallTimeout: o.StallTimeout,
		LimitRate:    o.LimitRate,
		Ranges:       o.Ranges,
		Chunk:        o.chunk,
		Transport: transport.Options{
			Base: o.Transport, StreamBuffer: o.StreamBuffer, OnRequest: o.OnRequest,
		},
		OnRetry: o.OnRetry,
		Warn:    once(o.OnWarning),
		Logger:  o.Logger,
	}
}

// maxTold bounds the warnings that are remembered and told: registries may
// write them.
const maxTold = 100

// once calls warn with each text once.
func once(warn func(string)) func(string) {
	var mu sync.Mutex
	told := map[string]bool{}
	return func(text string) {
		mu.Lock()
		fresh := !told[text] && len(told) < maxTold
		if fresh {
			told[text] = true
		}
		mu.Unlock()
		if fresh && warn != nil {
			warn(text)
		}
	}
}

func (o Options) withDefaults() Options {
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
	return o
}

// files are where mirrors are configured.
func (o Options) files() hosts.Files {
	return hosts.Files{Dir: o.HostsDir, K3s: o.K3sRegistries, RegistriesConf: o.RegistriesConf}
}

// credentials are those of the options, or else of files.
func (o Options) credentials() auth.Lookup {
	files := credentials.New(o.AuthFile)
	return func(ctx context.Context, host, repository string) (credentials.Login, error) {
		if l, ok := o.Logins[host]; ok {
			return credentials.Login{Username: l.Username, Password: l.Password}, nil
		}
		if o.Credentials != nil {
			l, err := o.Credentials(ctx, host)
			if err != nil || l != (Login{}) {
				return credentials.Login{Username: l.Username, Password: l.Password}, err
			}
		}
		return files.Find(ctx, host, repository)
	}
}

// Open prepares to read what ref names. It sends no request; an archive or a
// layout is opened, and the former's table of contents read, before which an
// archive that is compressed as a whole is unpacked.
func (c *Client) Open(ctx context.Context, ref Reference) (*Source, error) {
	o, err := c.origin(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	return &Source{ref: ref, origin: o, client: c}, nil
}

func (c *Client) origin(ctx context.Context, ref Reference) (origin, error) {
	file := local.Name{Path: ref.Path(), Tag: ref.Tag(), Digest: ref.Digest()}
	switch ref.transport {
	case Docker:
		return c.repository(ref)
	case OCI:
		return local.OpenLayout(file)
	case OCIArchive:
		return c.files().OCI(ctx, file)
	case DockerArchive:
		return c.files().Docker(ctx, file)
	case Store:
		return nil, failure.New(ErrReference, "copy and index read what is in the store, nothing else does")
	}
	return nil, failure.New(ErrReference, "a reference that names nothing")
}

func (c *Client) repository(ref Reference) (*remote.Repository, error) {
	return c.network().Open(remote.Name{
		Host: ref.Host(), Repository: ref.Repository(), Tag: ref.Tag(), Digest: ref.Digest(),
	})
}
