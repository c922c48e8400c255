// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/overlaystore"
)

// openStore opens the store, and makes it where there is none. Where the store
// is one for a user namespace and this process is not in one, the command is
// run there instead, from its beginning, and the error is handedOver: call it
// before anything is done.
func openStore(c *cli.Context) (*overlaystore.Store, error) {
	dir, err := storeDir(c)
	if err != nil {
		return nil, err
	}
	ids, err := wantedIDs(c)
	if err != nil {
		return nil, err
	}
	without, err := enterNamespace(c, dir, ids)
	if err != nil {
		return nil, err
	}
	if without != nil && !c.Bool("quiet") {
		newConsole(c.App.ErrWriter).hint("the owners of files are only recorded in this store: %v", without)
	}
	return overlaystore.Open(c.Context, dir, overlaystore.Options{Logger: logger(c), IDs: ids, NoSync: c.Bool("no-sync")})
}

// beforeStdin is for a command that reads standard input before it opens the
// store: where another process opens it, that is the one to read.
func beforeStdin(c *cli.Context) error {
	dir, err := storeDir(c)
	if err != nil {
		return err
	}
	ids, err := wantedIDs(c)
	if err != nil {
		return err
	}
	_, err = enterNamespace(c, dir, ids)
	return err
}

// closing closes c and keeps its error only where there is none before it.
func closing(err error, c io.Closer) error {
	if closeErr := c.Close(); err == nil {
		return closeErr
	}
	return err
}
