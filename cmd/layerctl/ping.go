// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/registry"
)

func pingCommand() *cli.Command {
	return &cli.Command{
		Name:      "ping",
		Usage:     "tell what a registry speaks: API, auth, media types, ranges, referrers",
		ArgsUsage: "HOST[/REPOSITORY[:TAG]]",
		Description: `What cannot be asked of a host alone is asked about the image that is named, or
the first that the registry lists; where it lists none, as Docker Hub does,
that is "unknown". "no" for a form of manifests is never said: one image shows
what a registry serves, not what it would not.`,
		Action: runPing,
	}
}

// pingResult is what "ping --json" prints. What is not known is "unknown".
type pingResult struct {
	Host      string          `json:"host"`
	URL       string          `json:"url"`
	API       string          `json:"api"`
	Auth      []pingAuth      `json:"auth"`
	Asked     string          `json:"asked"`
	OCI       registry.Answer `json:"oci"`
	Docker    registry.Answer `json:"docker"`
	Ranges    registry.Answer `json:"ranges"`
	Referrers registry.Answer `json:"referrers"`
}

type pingAuth struct {
	Scheme  string `json:"scheme"`
	Realm   string `json:"realm"`
	Service string `json:"service"`
}

func runPing(c *cli.Context) error {
	hosts, err := arguments(c, 1, 1, "one HOST")
	if err != nil {
		return err
	}
	p, err := ping(c, hosts[0])
	if err != nil {
		return err
	}
	r := pingResult{
		Host: p.Host, URL: p.URL, API: p.API, Auth: []pingAuth{},
		OCI: p.OCI, Docker: p.Docker, Ranges: p.Ranges, Referrers: p.Referrers,
	}
	for _, a := range p.Auth {
		r.Auth = append(r.Auth, pingAuth(a))
	}
	if p.Asked != (registry.Reference{}) {
		r.Asked = p.Asked.String()
	}
	if c.Bool("json") {
		return printShape(c, r)
	}
	if r.Asked == "" && !c.Bool("quiet") {
		terminal.NewConsole(c.App.ErrWriter).Hint("%s shows no image to ask about; name one to learn more: layerctl ping %s/REPOSITORY:TAG", p.Host, p.Host)
	}
	_, err = io.WriteString(c.App.Writer, r.text())
	return err
}

func ping(c *cli.Context, name string) (p registry.Ping, err error) {
	ref := name
	if !strings.Contains(name, "/") {
		ref += "/ping" // a host alone would be an image of Docker Hub's
	}
	logins, err := loginsFor(c, []string{ref})
	if err != nil {
		return p, err
	}
	return registry.New(registryOptions(c, logins)).Ping(c.Context, name)
}

func (r *pingResult) text() string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-10s %s\n", name, terminal.Escape(value)) }
	line("host", r.Host+" at "+r.URL)
	api := "yes"
	if r.API != "" {
		api += ", " + r.API
	}
	line("API", api)
	for _, a := range r.Auth {
		line("auth", a.text())
	}
	if len(r.Auth) == 0 {
		line("auth", "none")
	}
	if r.Asked != "" {
		line("asked", r.Asked)
	}
	line("OCI", string(r.OCI))
	line("Docker", string(r.Docker))
	line("ranges", string(r.Ranges))
	line("referrers", string(r.Referrers))
	return b.String()
}

func (a pingAuth) text() string {
	s := a.Scheme
	if a.Realm != "" {
		s += ", realm " + a.Realm
	}
	if a.Service != "" {
		s += ", service " + a.Service
	}
	return s
}
