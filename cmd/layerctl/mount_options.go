// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/layerctl/layerctl/overlaymount"
	"github.com/urfave/cli/v2"
)

// mountFlags returns the flags for how an image is mounted, of mount and bundle.
func mountFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "rw", Usage: "mount writable"},
		&cli.StringFlag{Name: "upper", Usage: "keep what is written in `DIR` (implies --rw)"},
		&cli.StringFlag{Name: "work", Usage: "the `DIR` that overlayfs needs beside --upper"},
		&cli.BoolFlag{Name: "volatile", Usage: "never wait for the disk; writes may be lost in a crash"},
		&cli.StringSliceFlag{Name: "option", Aliases: []string{"o"}, Usage: "mount with `OPTION`, such as noexec or metacopy=on (repeatable)"},
		&cli.StringFlag{Name: "driver", EnvVars: []string{"LAYERCTL_DRIVER"}, Value: "auto", Usage: "put layers together by `auto|kernel|fuse-overlayfs|erofsfuse`"},
		&cli.StringFlag{Name: "idmap", Usage: "shift owners by `INSIDE:OUTSIDE:SIZE`"},
	}
}

func mountOptions(c *cli.Context) (overlaymount.Options, error) {
	o := overlaymount.Options{
		Writable: c.Bool("rw") || c.String("upper") != "",
		Upper:    c.String("upper"),
		Work:     c.String("work"),
		Volatile: c.Bool("volatile"),
		Options:  c.StringSlice("option"),
	}
	for _, flag := range []string{"suid", "dev"} {
		if c.Bool(flag) {
			o.Options = append(o.Options, flag)
		}
	}
	switch driver := c.String("driver"); driver {
	case "auto", "":
	case string(overlaymount.KernelDriver), string(overlaymount.FUSEDriver), string(overlaymount.EROFSFUSEDriver):
		o.Driver = overlaymount.Driver(driver)
	default:
		return o, &usageError{Problem: fmt.Sprintf("there is no --driver %q", driver), Advice: "it is one of auto, kernel, fuse-overlayfs or erofsfuse"}
	}
	switch {
	case (o.Upper == "") != (o.Work == ""):
		return o, &usageError{Problem: "--upper and --work go together", Advice: "make two directories beside each other on one filesystem"}
	case o.Volatile && !o.Writable:
		return o, &usageError{Problem: "--volatile concerns what is written", Advice: "add --rw"}
	}
	if spec := c.String("idmap"); spec != "" {
		idmap, err := overlaymount.ParseIDMap(spec)
		if err != nil {
			return o, &usageError{Problem: "--idmap: " + err.Error()}
		}
		o.IDMap = idmap
	}
	return o, nil
}
