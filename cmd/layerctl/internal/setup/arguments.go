// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/overlaystore"
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

// Lookup finds a stored image by what a user calls it.
func Lookup(store *overlaystore.Store, arg string) (overlaystore.Image, string, error) {
	ref, err := registry.Parse(arg)
	if err != nil {
		return overlaystore.Image{}, "", err
	}
	image, err := store.Lookup(ref.String())
	return image, ref.String(), failure.Concerns(arg, err)
}

// LookupStored is Lookup for a manifest's digest as well.
func LookupStored(store *overlaystore.Store, arg string) (overlaystore.Image, string, error) {
	manifest, err := digest.Parse(arg)
	if err != nil {
		return Lookup(store, arg)
	}
	image, err := store.Image(manifest)
	return image, "", err
}
