// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// WithClient calls use with a client of the library, made by the global flags and set.
// refs are the references that the command is about: they decide whether there is a
// cache, and an error about a single one names it.
func WithClient(c *cli.Context, refs []string, use func(*layerctl.Client) error, set ...Option) (err error) {
	kept, err := openCache(c, refs)
	if err != nil {
		return err
	}
	if kept != nil {
		defer func() { err = Closing(err, kept) }()
	}
	return withCache(c, refs, kept, use, set...)
}

// Option changes the options of the library's client.
type Option func(*layerctl.Options)

// Resources sets jobs, limits and memory for a command that fetches layers, and calls
// hear with the events.
func Resources(c *cli.Context, hear func(progress.Event)) Option {
	return func(o *layerctl.Options) {
		share := shares(c)
		o.Jobs, o.Limits = share.Jobs, limits(c)
		o.Windows, o.Memory = unpack.NewWindows(share.Windows), pathMemory(c)
		o.Progress = hear
	}
}

// withCache is WithClient with an open cache, or without one if kept is nil.
func withCache(c *cli.Context, refs []string, kept *cache.Cache, use func(*layerctl.Client) error, set ...Option) error {
	logins, err := LoginsFor(c, refs)
	if err != nil {
		return err
	}
	policy, err := Policy(c)
	if err != nil {
		return err
	}
	o := layerctl.Options{
		Trust:       policy,
		Registry:    RegistryOptions(c, logins),
		Platform:    c.String("platform"),
		AnyPlatform: c.Bool("any-platform"),
		Host:        platform.Inputs{Userland: platform.Userland(c.String("userland"))},
		Strict:      c.Bool("strict"),
		Cache:       kept,
		KeepBlobs:   c.Bool("keep-blobs"),
		Offline:     c.Bool("offline"),
		Documents:   host.Documents(memory(c)),
		Logger:      Logger(c),
	}
	for _, add := range set {
		add(&o)
	}
	if len(refs) == 1 {
		return failure.Concerns(refs[0], use(layerctl.New(o)))
	}
	return use(layerctl.New(o))
}

// RegistryOptions returns the options for registries, by the global flags.
func RegistryOptions(c *cli.Context, logins map[string]registry.Login) registry.Options {
	retries := c.Int("retry")
	if c.IsSet("retry") && retries == 0 {
		retries = -1 // the library's zero means its default
	}
	divided := shares(c)
	return registry.Options{
		PlainHTTP:    c.StringSlice("plain-http"),
		CAFiles:      c.StringSlice("cacert"),
		AuthFile:     c.String("authfile"),
		Logins:       logins,
		TokenHosts:   c.StringSlice("token-host"),
		HostsDir:     c.String("hosts-dir"),
		Retries:      retries,
		StallTimeout: Span(c, "stall-timeout"),
		LimitRate:    Size(c, "limit-rate"),
		Ranges:       divided.Ranges,
		Foreign:      c.Bool("foreign"),
		StreamBuffer: divided.Buffer,
		Archives:     archiveOptions(c),
		UserAgent:    "layerctl/" + Version(),
		Logger:       Logger(c),
		OnRequest:    counter(c),
		OnWarning:    warner(c),
	}
}

// archiveOptions gives an archive that is compressed as a whole the limits of a layer.
func archiveOptions(c *cli.Context) registry.ArchiveOptions {
	l := limits(c)
	o := registry.ArchiveOptions{MaxSize: l.Bytes, MaxRatio: l.Ratio, Reserve: l.Reserve, MaxWindow: host.ArchiveWindow(memory(c))}
	if f, ok := c.App.Reader.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		o.Stdin = terminal.NewInput(c.Context, c.App.Reader)
	}
	return o
}

// warner returns a function that prints warnings; nil with --quiet.
func warner(c *cli.Context) func(string) {
	if c.Bool("quiet") {
		return nil
	}
	console := terminal.NewConsole(c.App.ErrWriter)
	return func(text string) { console.Warn("%s", text) }
}

// openCache opens the cache in the store's blobs/. If it cannot, only --offline and
// --keep-blobs fail.
func openCache(c *cli.Context, refs []string) (*cache.Cache, error) {
	if !slices.ContainsFunc(refs, inRegistry) {
		return nil, nil
	}
	dir, err := StoreDir(c)
	var kept *cache.Cache
	if err == nil {
		kept, err = cache.Open(c.Context, filepath.Join(dir, "blobs"))
	}
	if err != nil && !c.Bool("offline") && !c.Bool("keep-blobs") {
		Logger(c).Warn("go on without a cache", "error", err)
		return nil, nil
	}
	return kept, err
}

func inRegistry(ref string) bool {
	parsed, err := registry.Parse(ref)
	return err == nil && parsed.Transport() == registry.Docker
}

// LoginsFor reads the credentials of --creds-stdin, for the host that the references
// name. If they name two it fails, because the wrong one would get the password.
func LoginsFor(c *cli.Context, refs []string) (map[string]registry.Login, error) {
	if !c.Bool("creds-stdin") {
		return nil, nil
	}
	host := ""
	for _, ref := range refs {
		parsed, err := registry.Parse(ref)
		switch {
		case err != nil:
			return nil, err
		case parsed.Host() == "" || parsed.Host() == host:
		case host == "":
			host = parsed.Host()
		default:
			return nil, &args.UsageError{
				Problem: fmt.Sprintf("--creds-stdin is for one registry, and %s and %s are named", host, parsed.Host()),
				Advice:  "name them one after the other, or use --authfile",
			}
		}
	}
	line, err := terminal.ReadLine(c.Context, c.App.Reader)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read credentials from standard input: %w", err)
	}
	user, password, ok := strings.Cut(line, ":")
	if !ok || user == "" {
		return nil, &args.UsageError{Problem: "standard input is not USER:PASSWORD", Advice: "--creds-stdin reads one line"}
	}
	return map[string]registry.Login{host: {Username: user, Password: password}}, nil
}

// WithoutCache is [WithClient] without a cache, for a machine without a store: no store
// is made only to keep what is read once.
func WithoutCache(c *cli.Context, refs []string, use func(*layerctl.Client) error, set ...Option) error {
	return withCache(c, refs, nil, use, set...)
}

// Version returns the version that the Go tool wrote into the binary.
func Version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}
