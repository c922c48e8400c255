// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// OpenToConvert is [OpenExisting] for a command that makes another store: the flags for
// the form of a new store are about that one.
func OpenToConvert(c *cli.Context) (*overlaystore.Store, error) {
	dir, err := StoreDir(c)
	if err != nil {
		return nil, err
	}
	return openStore(c, dir, overlaystore.Options{Existing: true})
}

// OpenBeside opens a second store, at dir and in the form lower, or makes it if there is
// none.
func OpenBeside(c *cli.Context, dir string, lower layer.Lower) (*overlaystore.Store, error) {
	o, err := wantedForm(c)
	if err != nil {
		return nil, err
	}
	o.Lower = lower
	return openStore(c, dir, o)
}

// UnpackOptions returns the limits of a layer that is unpacked without a client.
func UnpackOptions(c *cli.Context) unpack.Options {
	windows := unpack.NewWindows(shares(c).Windows)
	return unpack.Options{Limits: limits(c), Windows: windows, Paths: unpack.NewPaths(pathMemory(c), windows), Logger: Logger(c)}
}
