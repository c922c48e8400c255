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

// Options say how a [Client] works. The zero value works.
type Options struct {
	// AuthFile is the only file from which credentials are taken, in the form of
	// docker's config.json or containers' auth.json. "" means $LAYERCTL_AUTH_FILE
	// or, without that, the first of the usual files that has credentials for the
	// host: docker's, then containers'.
	AuthFile string
	// Logins are credentials by host, as references name it. They take precedence
	// over those of files. nil means none.
	Logins map[string]Login
	// Credentials returns the login for a host, as references name it. It is called
	// where Logins has none, before files are read; a zero Login leaves it to the
	// files. nil is not called.
	Credentials func(ctx context.Context, host string) (Login, error)
	// PlainHTTP lists the hosts, as references name them ("localhost:5000"), that
	// are asked over http; all others are asked over https, with one exception: a
	// registry of this machine by its name (localhost, 127.0.0.0/8, ::1) that speaks
	// no TLS is asked over http, unless certificates are configured for it, and
	// OnWarning is told.
	PlainHTTP []string
	// CAFiles are PEM files of authorities to trust for all hosts, beside the
	// system's and those that HostsDir, K3sRegistries, /etc/containers/certs.d and
	// /etc/docker/certs.d name for a host. nil adds none.
	CAFiles []string
	// TokenHosts lists hosts of token servers to which stored credentials may be sent
	// although they are of another site than the registry that names them. Docker
	// Hub's token server and servers of a registry's own domain need not be listed.
	TokenHosts []string
	// HostsDir is a directory of containerd's hosts.toml files, one directory a
	// registry; "" means /etc/containerd/certs.d.
	HostsDir string
	// K3sRegistries is a registries.yaml of k3s; "" means k3s's or RKE2's own.
	K3sRegistries string
	// RegistriesConf is containers' registries.conf; "" means the usual one.
	//
	// HostsDir, K3sRegistries and RegistriesConf are read in this order; the first
	// that mentions a registry decides which mirrors are asked, and how. What
	// RegistriesConf blocks is always blocked. A path that does not exist turns the
	// one of that field off.
	RegistriesConf string
	// Foreign fetches a layer that its registry does not have from the urls in the
	// image's manifest, one after the other: without credentials, and only from hosts
	// to which a redirect of the registry may lead. For an image in a file these are
	// public hosts, by https.
	Foreign bool
	// UserAgent is sent with each request; "" means "layerctl".
	UserAgent string
	// Retries is how many rounds over all hosts may bring no new byte before the
	// request fails; 0 means 10, a negative number means none. A host that has never
	// answered gets 2 at most.
	Retries int
	// Backoff is the pause before the second retry, doubled each time up to 30
	// seconds, with jitter; 0 means 250 milliseconds. The first retry after
	// progress comes at once. A Retry-After of the server is honoured.
	Backoff time.Duration
	// StallTimeout is how long a connection may bring less than 1 KiB a second
	// before it is closed and the request repeated; 0 means a minute.
	StallTimeout time.Duration
	// LimitRate is how many bytes a second all connections together may bring; 0
	// means no limit.
	LimitRate int64
	// Ranges is over how many connections at once a large blob is fetched, a range
	// of 4 MiB on each, for links that are slow for one connection; [MaxRanges] at
	// most. A blob then takes Ranges+1 times 4 MiB of memory. 0 and 1 mean one
	// connection. One connection also fetches blobs below 8 MiB, blobs from hosts that
	// send no ranges, and a blob that the same Source is asked for again, in case the
	// ranges were wrong.
	Ranges int
	// StreamBuffer is how many bytes of a body HTTP/2 accepts before they are read; 0
	// means 4 MiB. A small one is slow on links with a long delay, for no more than
	// this comes in one round trip.
	StreamBuffer int64
	// Transport sends the requests; nil means a transport of this package. This
	// package refuses redirects from a public host to a private one: by name with any
	// Transport, by address only with an [*http.Transport] or its own. To another
	// RoundTripper it does not pass configured certificates.
	Transport http.RoundTripper
	// Archives says how archives are opened.
	Archives ArchiveOptions
	// OnRequest is called after each request, also those for tokens and those
	// that follow redirects, from the goroutine that sent it. nil is not called.
	OnRequest func(Request)
	// OnWarning is called with a text that a user should know although nothing
	// failed, such as that of a credential helper's error: with each text once, from
	// any goroutine. nil is not called.
	OnWarning func(text string)
	// OnRetry is called before each pause after which hosts are asked again, and
	// when the awaited bytes come, from any goroutine. nil is not called.
	OnRetry func(Retry)
	// Logger is told of retries and of hosts that failed; nil is silent.
	Logger *slog.Logger

	chunk int64 // the size of a range; 0 means 4 MiB
}

// ArchiveOptions say how an archive is opened that cannot be read where it
// lies: one that is compressed as a whole, or comes from standard input.
type ArchiveOptions = local.Options

// Login is a user's credentials.
type Login struct{ Username, Password string }

// Request describes a request, whether it was answered or not.
type Request = transport.Request

// Retry describes a pause before hosts are asked again, or its end.
type Retry = remote.Retry

// Traffic is what one host has sent.
type Traffic = remote.Traffic

const (
	// chunkSize is the size of a range, of which several are fetched at once: so large
	// that the time before its first byte does not matter, and small enough to be kept
	// in memory.
	chunkSize = 4 << 20
	// MaxRanges is how many ranges at once one registry should have to bear.
	MaxRanges = 16
)

// RangeMemory returns the memory in bytes that a blob takes with [Options].Ranges:
// a range for each connection, and one that is being read.
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

// network returns the part of the client that speaks to registries.
func (c *Client) network() *remote.Client {
	c.once.Do(c.prepare)
	return c.remote
}

// files returns the part of the client that opens archives.
func (c *Client) files() *local.Archives {
	c.once.Do(c.prepare)
	return c.archives
}

func (c *Client) prepare() {
	o := c.o.withDefaults()
	c.remote = remote.New(o.remote())
	c.archives = local.NewArchives(o.Archives, o.Logger)
}

// remote returns the options of the part that speaks to registries, from o with its
// defaults filled in.
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

// maxTold bounds how many warnings are told and remembered, because registries may send
// any number.
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

// files returns the files in which mirrors are configured.
func (o Options) files() hosts.Files {
	return hosts.Files{Dir: o.HostsDir, K3s: o.K3sRegistries, RegistriesConf: o.RegistriesConf}
}

// credentials finds credentials in the options, or else in files.
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

// Open prepares to read what ref names. It sends no request. It opens a layout or an
// archive and reads the archive's table of contents; an archive that is compressed as a
// whole is unpacked before that, see [ArchiveOptions]. The caller closes the Source.
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
