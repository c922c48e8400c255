// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// withClient makes the library's client from the global flags, for what is
// asked about refs.
func withClient(c *cli.Context, refs []string, use func(*layerctl.Client) error, set ...option) (err error) {
	kept, err := openCache(c, refs)
	if err != nil {
		return err
	}
	if kept != nil {
		defer func() { err = closing(err, kept) }()
	}
	return withCache(c, refs, kept, use, set...)
}

// option adds to what the global flags say of the library's client.
type option func(*layerctl.Options)

// resources are those of a command that fetches layers.
func resources(c *cli.Context, hear func(layerctl.Event)) option {
	return func(o *layerctl.Options) {
		share := shares(c)
		o.Jobs, o.Limits = share.Jobs, limits(c)
		o.Windows, o.Memory = unpack.NewWindows(share.Windows), size(c, "max-memory")/2
		o.Progress = hear
	}
}

// withCache is withClient with a cache that is open already, or without one.
func withCache(c *cli.Context, refs []string, kept *cache.Cache, use func(*layerctl.Client) error, set ...option) error {
	logins, err := loginsFor(c, refs)
	if err != nil {
		return err
	}
	o := layerctl.Options{
		Registry:  registryOptions(c, logins),
		Platform:  c.String("platform"),
		Host:      platform.Inputs{Userland: platform.Userland(c.String("userland"))},
		Strict:    c.Bool("strict"),
		Cache:     kept,
		KeepBlobs: c.Bool("keep-blobs"),
		Offline:   c.Bool("offline"),
		Logger:    logger(c),
	}
	for _, add := range set {
		add(&o)
	}
	return use(layerctl.New(o))
}

func registryOptions(c *cli.Context, logins map[string]registry.Login) registry.Options {
	retries := c.Int("retry")
	if c.IsSet("retry") && retries == 0 {
		retries = -1 // the library's zero means its default
	}
	divided := shares(c)
	return registry.Options{
		PlainHTTP:    c.StringSlice("plain-http"),
		AuthFile:     c.String("authfile"),
		Logins:       logins,
		TokenHosts:   c.StringSlice("token-host"),
		HostsDir:     c.String("hosts-dir"),
		Retries:      retries,
		StallTimeout: c.Duration("stall-timeout"),
		LimitRate:    size(c, "limit-rate"),
		Ranges:       divided.Ranges,
		StreamBuffer: divided.Buffer,
		UserAgent:    "layerctl/" + version(),
		Logger:       logger(c),
		OnRequest:    counter(c),
	}
}

// openCache opens the cache in the store's blobs/. Without one, which a user
// who may not write there cannot have, all goes on as before, save offline.
func openCache(c *cli.Context, refs []string) (*cache.Cache, error) {
	if !slices.ContainsFunc(refs, inRegistry) {
		return nil, nil
	}
	dir, err := storeDir(c)
	if err != nil {
		return nil, err
	}
	kept, err := cache.Open(c.Context, filepath.Join(dir, "blobs"))
	if err != nil && !c.Bool("offline") && !c.Bool("keep-blobs") {
		if log := logger(c); log != nil {
			log.Warn("go on without a cache", "error", err)
		}
		return nil, nil
	}
	return kept, err
}

func inRegistry(ref string) bool {
	parsed, err := registry.Parse(ref)
	return err == nil && parsed.Transport() == registry.Docker
}

// loginsFor reads what --creds-stdin promises, for the one host that the
// references name: with two, the wrong one would learn the password.
func loginsFor(c *cli.Context, refs []string) (map[string]registry.Login, error) {
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
			return nil, &usageError{
				Problem: fmt.Sprintf("--creds-stdin is for one registry, and %s and %s are named", host, parsed.Host()),
				Advice:  "name them one after the other, or use --authfile",
			}
		}
	}
	line, err := terminal.ReadLine(c.App.Reader)
	if err != nil {
		return nil, fmt.Errorf("read credentials from standard input: %w", err)
	}
	user, password, ok := strings.Cut(line, ":")
	if !ok || user == "" {
		return nil, &usageError{Problem: "standard input is not USER:PASSWORD", Advice: "--creds-stdin reads one line"}
	}
	return map[string]registry.Login{host: {Username: user, Password: password}}, nil
}
