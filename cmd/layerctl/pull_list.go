// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
)

func references(list []args.Listed) []string {
	var refs []string
	for _, l := range list {
		refs = append(refs, l.Ref)
	}
	return refs
}

// pullList is what is to be pulled: the arguments, and the lines of the file.
func pullList(c *cli.Context) (list []args.Listed, err error) {
	for _, ref := range c.Args().Slice() {
		list = append(list, args.Listed{Ref: ref})
	}
	if !c.IsSet("file") {
		_, err := setup.Arguments(c, 1, -1, "one REF or more")
		return list, err
	}
	name, r := c.String("file"), c.App.Reader
	if name == "-" {
		name = "standard input"
		if c.Bool("creds-stdin") {
			return nil, &usageError{Problem: "--creds-stdin and -f - both read standard input"}
		}
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		r = f
	}
	lines, err := args.ReadList(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return append(list, lines...), nil
}
