// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/unpack"
)

func devicesFlag() cli.Flag {
	return &cli.StringFlag{Name: "devices", Value: "make", Usage: "`make|skip|refuse` the device nodes of an image; where they cannot be made they are skipped and counted"}
}

// devices is what is to become of an image's device nodes.
func devices(c *cli.Context) (unpack.Devices, error) {
	switch policy := c.String("devices"); policy {
	case "make":
		return unpack.MakeDevices, nil
	case "skip":
		return unpack.SkipDevices, nil
	case "refuse":
		return unpack.RefuseDevices, nil
	default:
		return 0, &usageError{Problem: fmt.Sprintf("there is no --devices %q", policy), Advice: "it is one of make, skip, refuse"}
	}
}
