// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
)

func inspectJSON(c *cli.Context, ref string) error {
	found, err := inspect(c, ref, layerctl.InspectOptions{Detail: layerctl.DetailConfigs})
	if err != nil {
		return err
	}
	return printShape(c, found)
}

// printShape is printJSON for what holds an image author's text.
func printShape(c *cli.Context, v any) error {
	var b bytes.Buffer
	if err := printJSON(&b, v); err != nil {
		return err
	}
	return printDocument(c.App.Writer, b.Bytes())
}
