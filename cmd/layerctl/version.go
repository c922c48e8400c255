// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/urfave/cli/v2"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:   "version",
		Usage:  "print the version",
		Action: runVersion,
	}
}

func runVersion(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	v := struct {
		Version  string `json:"version"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if c.Bool("json") {
		return terminal.WriteJSON(c.App.Writer, v)
	}
	_, err := fmt.Fprintf(c.App.Writer, "layerctl %s %s %s\n", v.Version, v.Go, v.Platform)
	return err
}

// version is the module's, as the Go tool stamped it into the binary.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}
