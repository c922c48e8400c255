// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
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
	if err := terminal.WriteJSON(&b, v); err != nil {
		return err
	}
	return terminal.WriteDocument(c.App.Writer, b.Bytes())
}
