// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// NoArguments refuses arguments where a command takes none.
func NoArguments(c *cli.Context) error {
	if c.Args().Present() {
		return &args.UsageError{Problem: fmt.Sprintf("%s takes no argument, and got %q", c.Command.Name, c.Args().First())}
	}
	return nil
}

// Arguments checks how many there are; most < 0 means any number.
func Arguments(c *cli.Context, least, most int, names string) ([]string, error) {
	n := c.Args().Len()
	if n >= least && (most < 0 || n <= most) {
		return c.Args().Slice(), nil
	}
	return nil, &args.UsageError{
		Problem: fmt.Sprintf("%s takes %s, and got %d arguments", c.Command.Name, names, n),
		Advice:  fmt.Sprintf("'layerctl %s --help' tells how it is used", c.Command.Name),
	}
}

// wanted is what the global flags choose images for.
func wanted(c *cli.Context) (platform.Wanted, error) {
	if spec := c.String("platform"); spec != "" {
		return platform.ParseWanted(spec)
	}
	return platform.Detect(platform.Inputs{Userland: platform.Userland(c.String("userland"))}).Wanted(), nil
}

// Lookup finds the stored image that is to run, by what a user calls it.
func Lookup(c *cli.Context, store *overlaystore.Store, arg string) (overlaystore.Image, string, error) {
	return lookup(c, arg, store.Lookup)
}

// LookupToRead is Lookup for who only looks at the image: the only one of its
// name need not fit this machine.
func LookupToRead(c *cli.Context, store *overlaystore.Store, arg string) (overlaystore.Image, string, error) {
	return lookup(c, arg, store.LookupToRead)
}

func lookup(c *cli.Context, arg string, in func(string, platform.Wanted) (overlaystore.Image, error)) (overlaystore.Image, string, error) {
	ref, err := registry.Parse(arg)
	if err != nil {
		return overlaystore.Image{}, "", err
	}
	w, err := wanted(c)
	if err != nil {
		return overlaystore.Image{}, "", err
	}
	image, err := in(ref.String(), w)
	return image, ref.String(), failure.Concerns(arg, err)
}

// LookupStored is Lookup for a manifest's digest as well.
func LookupStored(c *cli.Context, store *overlaystore.Store, arg string) (overlaystore.Image, string, error) {
	manifest, err := digest.Parse(arg)
	if err != nil {
		return Lookup(c, store, arg)
	}
	image, err := store.Image(manifest)
	return image, "", err
}
