// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

// References returns the references of a list.
func References(list []args.Listed) []string {
	var refs []string
	for _, l := range list {
		refs = append(refs, l.Ref)
	}
	return refs
}

// PullList returns the images to pull: the arguments, then the lines of the file.
func PullList(c *cli.Context) (list []args.Listed, err error) {
	for _, ref := range c.Args().Slice() {
		list = append(list, args.Listed{Ref: ref})
	}
	if !c.IsSet("file") {
		_, err := Arguments(c, 1, -1, "one REF or more")
		return list, err
	}
	name := c.String("file")
	open := func() (io.ReadCloser, error) { return os.Open(name) }
	if name == "-" {
		if c.Bool("creds-stdin") {
			return nil, &args.UsageError{Problem: "--creds-stdin and -f - both read standard input"}
		}
		name, open = "standard input", func() (io.ReadCloser, error) { return io.NopCloser(c.App.Reader), nil }
	}
	// A pipe that nobody writes to blocks as it is opened and as it is read.
	lines, err := terminal.Await(c.Context, func() ([]args.Listed, error) {
		f, err := open()
		if err != nil {
			return nil, err
		}
		lines, err := args.ReadList(f)
		return lines, errors.Join(err, f.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return append(list, lines...), nil
}
