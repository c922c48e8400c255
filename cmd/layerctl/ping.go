// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/registry"
)

func pingCommand() *cli.Command {
	return &cli.Command{
		Name:      "ping",
		Usage:     "tell what a registry speaks: API, auth, media types, ranges, referrers",
		ArgsUsage: "HOST[/REPOSITORY[:TAG]]",
		Action:    runPing,
	}
}

func runPing(c *cli.Context) error {
	hosts, err := setup.Arguments(c, 1, 1, "one HOST")
	if err != nil {
		return err
	}
	p, err := ping(c, hosts[0])
	if err != nil {
		return err
	}
	result := show.NewPing(p)
	if c.Bool("json") {
		return result.JSON(c.App.Writer)
	}
	if p.Credentials == registry.No && result.Asked == "" && !c.Bool("quiet") {
		terminal.NewConsole(c.App.ErrWriter).Hint("what needs a login is not seen: 'layerctl login %s' keeps one", p.Host)
	}
	if result.Asked == "" && !c.Bool("quiet") {
		terminal.NewConsole(c.App.ErrWriter).Hint("%s shows no image to ask about; name one to learn more: layerctl ping %s/REPOSITORY:TAG", p.Host, p.Host)
	}
	return result.Text(c.App.Writer)
}

func ping(c *cli.Context, name string) (p registry.Ping, err error) {
	ref := name
	if !strings.Contains(name, "/") {
		ref += "/ping" // a host alone would be parsed as an image of Docker Hub
	}
	logins, err := setup.LoginsFor(c, []string{ref})
	if err != nil {
		return p, err
	}
	return registry.New(setup.RegistryOptions(c, logins)).Ping(c.Context, name)
}
