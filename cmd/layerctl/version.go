// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:   "version",
		Usage:  "print the version",
		Action: runVersion,
	}
}

func runVersion(c *cli.Context) error {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	v := struct {
		Version  string `json:"version"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{setup.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if c.Bool("json") {
		return terminal.WriteJSON(c.App.Writer, v)
	}
	_, err := fmt.Fprintf(c.App.Writer, "layerctl %s %s %s\n", v.Version, v.Go, v.Platform)
	return err
}
