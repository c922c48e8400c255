// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/registry"
)

// pathArgument parts REF:PATH, the one argument; path is "" where there is none.
func pathArgument(c *cli.Context, form string) (ref, path string, err error) {
	args, err := setup.Arguments(c, 1, 1, "one "+form)
	if err != nil {
		return "", "", err
	}
	ref, path, found := registry.CutPath(args[0])
	if _, err = registry.Parse(ref); err != nil && !found {
		err = &usageError{Problem: err.Error(), Advice: "a path in the image begins with a slash: REF:/PATH"}
	}
	return ref, path, err
}

// rootfsReader reads files of an image for a command.
type rootfsReader func(l *layerctl.Client, o layerctl.RootFSOptions) error

// readRootFS opens what an image may be read from: the store, if there is one,
// and the client. Where the store is one for a user namespace, the command runs
// there.
func readRootFS(c *cli.Context, ref string, use rootfsReader) (err error) {
	show := progress.Display(progress.None{})
	if c.String("progress") != "auto" || terminal.Is(c.App.ErrWriter) && !terminal.Is(c.App.Writer) {
		if show, err = setup.NewProgress(c); err != nil {
			return err
		}
	}
	if err := setup.CheckJobs(c); err != nil {
		return err
	}
	var o layerctl.RootFSOptions
	if o.Store, err = setup.StoreForRootFS(c); err != nil {
		return err
	}
	with := setup.WithClient
	if o.Store != nil {
		defer func() { err = setup.Closing(err, o.Store) }()
	} else if !c.Bool("offline") {
		with = setup.WithoutCache
	}
	return with(c, []string{ref}, func(l *layerctl.Client) error {
		defer show.Finish()
		return use(l, o)
	}, setup.Resources(c, func(e layerctl.Event) { show.Event(ref, e) }), setup.Retrying(show))
}
