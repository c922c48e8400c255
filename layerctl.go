// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/internal/pull"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/trusted"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust"
	"github.com/layerctl/layerctl/unpack"
)

// ErrOffline says that an offline client needs what its cache does not have.
var ErrOffline = source.ErrOffline

// Event is one step of a pull; see [progress.Event].
type Event = progress.Event

// Taker takes layers of an image while it is pulled.
type Taker = pull.Taker

// Options say how a [Client] works. The zero value asks registries over HTTPS,
// with the credentials that docker or podman keep, for images of this machine.
type Options struct {
	// Registry says how sources are reached; see [registry.Options].
	Registry registry.Options
	// Platform is a specifier "os/arch[/variant]"; empty means this machine.
	Platform string
	// AnyPlatform accepts a single image (a reference that names no index) of any
	// platform; false refuses one that does not fit with [platform.ErrNoMatch],
	// before any of its layers is fetched.
	AnyPlatform bool
	// Host is what the machine is detected from; the zero value is the machine itself.
	Host platform.Inputs
	// Trust decides which images may be used, before any byte of a layer is
	// requested; nil accepts all. [Client.Resolve] and [Client.Inspect] only look,
	// and refuse nothing.
	Trust *trust.Policy
	// Strict turns every leniency, and every warning about the choice of a
	// platform, into an error.
	Strict bool
	// Cache keeps manifests and configs, so that none is fetched twice, and the
	// digests that tags stood for; nil keeps nothing. The client does not close it.
	Cache *cache.Cache
	// KeepBlobs keeps the compressed layers that are fetched in Cache too, so
	// that Cache then holds all of an image that was pulled.
	KeepBlobs bool
	// Offline asks no registry: what neither the store nor Cache has fails with
	// [ErrOffline].
	Offline bool
	// Jobs is how many layers are fetched and unpacked at a time; 0 means
	// [DefaultJobs].
	Jobs int
	// Limits bound what a layer may cost; see [unpack.Limits].
	Limits unpack.Limits
	// Windows is the memory that zstd layers with large windows share; see
	// [unpack.Options].
	Windows *unpack.Windows
	// Memory bounds, in bytes, what the paths of an image's layers may take while
	// they are merged (about 400 bytes a path, and its length) and what a pull
	// keeps of each layer until the last one is complete; 0 means 512 MiB, and a
	// negative number no limit.
	Memory int64
	// Documents bounds the bytes of all manifests and configs that are read for
	// a reference; 0 means 64 MiB. In memory they may take twelve times as much.
	Documents int64
	// Devices says what becomes of device nodes; zero makes them where the
	// process may make them and files have the image's owners.
	Devices unpack.Devices
	// Admit is called before any layer of an image is fetched; its error refuses
	// the image. nil accepts all.
	Admit func(ctx context.Context, r Resolution, layers []digest.Digest) error
	// Layers is called with a pull's diffIDs before any layer is fetched; nil is not called.
	Layers func(ctx context.Context, layers []digest.Digest) (Taker, error)
	// Progress is called at every step, by several goroutines at once, and must
	// not block for long; nil is not called.
	Progress func(progress.Event)
	// Logger gets the details that help to find a fault; nil is silent.
	Logger *slog.Logger
}

// Client joins the parts: sources, the choice of a platform, and a store.
// Several goroutines may use one. It keeps connections, tokens and the buffers of
// up to four layers.
type Client struct {
	options  Options
	registry *registry.Client
	buffers  *unpack.Buffers
	log      *slog.Logger
	host     func() platform.Host
	memory   *trusted.Memory

	// measured are options of a pull for tests and measurements.
	measured pull.Options
}

// New makes a Client. It sends nothing and touches no disk.
func New(o Options) *Client {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{
		options:  o,
		registry: registry.New(o.Registry),
		buffers:  unpack.NewBuffers(),
		memory:   &trusted.Memory{},
		log:      log,
		host:     sync.OnceValue(func() platform.Host { return platform.Detect(o.Host) }),
	}
}

// For returns a client for another platform, "" for this machine, which shares
// everything else with c: connections, cache and options.
func (c *Client) For(platform string) *Client {
	other := *c
	other.options.Platform = platform
	return &other
}

// Host returns the machine that images are chosen for where no platform is
// given. The machine is examined once.
func (c *Client) Host() platform.Host { return c.host() }

// Resolution is the image that a reference means on one platform.
type Resolution struct {
	Reference registry.Reference
	// Root is what the reference names: an index, or an image's manifest.
	Root ocispec.Descriptor
	// Manifest is the chosen image's manifest; the same as Root where the
	// reference names a single image.
	Manifest ocispec.Descriptor
	// Choice gives the reasons, candidate by candidate; it is empty where there
	// was nothing to choose from.
	Choice platform.Choice
}

// Resolve chooses the image that ref means for the client's platform. It sends
// one request, and one more for each level of nested indexes.
//
// Errors: [registry.ErrNotFound] where ref names nothing, [platform.ErrNoMatch]
// (as a [platform.NoMatchError]) where no image fits the platform, and
// [manifest.ErrUnsupported] for what is no image.
func (c *Client) Resolve(ctx context.Context, ref string) (Resolution, error) {
	var r source.Resolution
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		r, err = s.Resolve(ctx)
		return err
	})
	return Resolution(r), err
}

// open opens ref. A caller that succeeds calls Keep, which puts what was read
// into the cache.
func (c *Client) open(ctx context.Context, ref string) (*source.Source, error) {
	parsed, err := registry.Parse(ref)
	if err != nil {
		return nil, err
	}
	return source.Open(ctx, parsed, source.Options{
		Name: ref, Registry: c.registry, Wanted: c.wanted, AnyPlatform: c.options.AnyPlatform, Strict: c.options.Strict,
		Cache: c.options.Cache, KeepBlobs: c.options.KeepBlobs, Offline: c.options.Offline,
		Documents: c.options.Documents, Logger: c.log, Guarded: c.options.Trust != nil,
	})
}

// with opens ref for one use.
func (c *Client) with(ctx context.Context, ref string, use func(*source.Source) error) error {
	s, err := c.open(ctx, ref)
	if err != nil {
		return err
	}
	if err := use(s); err != nil {
		return errors.Join(err, s.Close())
	}
	s.Keep(ctx)
	return s.Close()
}

// wanted returns what images are chosen for.
func (c *Client) wanted() (platform.Wanted, error) {
	if c.options.Platform == "" {
		return c.Host().Wanted(), nil
	}
	return platform.ParseWanted(c.options.Platform)
}
