// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
)

func umountCommand() *cli.Command {
	return &cli.Command{
		Name:      "umount",
		Usage:     "undo a mount",
		ArgsUsage: "TARGET",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "lazy", Usage: "let it end when its last user does, as umount --lazy; what was written stays until umount again"},
			&cli.BoolFlag{Name: "keep", Usage: "leave what was written in the store, where mounts shows it"},
		},
		Action: runUmount,
	}
}

func runUmount(c *cli.Context) (err error) {
	args, err := setup.Arguments(c, 1, 1, "a TARGET")
	if err != nil {
		return err
	}
	target, err := mountTarget(args[0])
	if err != nil {
		return err
	}
	if err := setup.NeedsNamespace(c); err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	return overlaymount.Unmount(c.Context, store, target, overlaymount.UnmountOptions{Lazy: c.Bool("lazy"), Keep: c.Bool("keep")})
}
