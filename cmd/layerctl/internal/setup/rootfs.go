// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

// RootFSReader reads files of images for a command.
type RootFSReader func(l *layerctl.Client, o layerctl.RootFSOptions) error

// ReadRootFS calls use with a client, and with the store if there is one. If the store
// needs a user namespace, the command is run there instead.
func ReadRootFS(c *cli.Context, refs []string, use RootFSReader) (err error) {
	show := progress.Display(progress.None{})
	if c.String("progress") != "auto" || terminal.Is(c.App.ErrWriter) && !terminal.Is(c.App.Writer) {
		if show, err = NewProgress(c); err != nil {
			return err
		}
	}
	if err := CheckJobs(c); err != nil {
		return err
	}
	var o layerctl.RootFSOptions
	if o.Store, err = StoreForRootFS(c); err != nil {
		return err
	}
	with := WithClient
	if o.Store != nil {
		defer func() { err = Closing(err, o.Store) }()
	} else if !c.Bool("offline") {
		with = WithoutCache
	}
	return with(c, refs, func(l *layerctl.Client) error {
		defer show.Finish()
		return use(l, o)
	}, Resources(c, func(e layerctl.Event) { show.Event(refs[0], e) }), Retrying(show), sharing(len(refs)))
}

// sharing divides the memory for paths by the number of images that are read at once.
func sharing(images int) Option {
	return func(o *layerctl.Options) {
		if o.Memory > 0 {
			o.Memory /= int64(images)
		}
	}
}
