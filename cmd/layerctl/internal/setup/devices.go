// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/unpack"
)

// DevicesFlag returns the flag --devices.
func DevicesFlag() cli.Flag {
	return &cli.StringFlag{Name: "devices", Value: "make", Usage: "`make|skip|refuse` the device nodes of an image; where they cannot be made they are skipped and counted"}
}

// Devices returns what --devices says to do with an image's device nodes.
func Devices(c *cli.Context) (unpack.Devices, error) {
	switch policy := c.String("devices"); policy {
	case "make":
		return unpack.MakeDevices, nil
	case "skip":
		return unpack.SkipDevices, nil
	case "refuse":
		return unpack.RefuseDevices, nil
	default:
		return 0, &args.UsageError{Problem: fmt.Sprintf("there is no --devices %q", policy), Advice: "it is one of make, skip or refuse"}
	}
}
