// SPDX-License-Identifier: Apache-2.0

package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/registry"
)

// Ping is the output of ping --json. Answers that are not known are "unknown".
type Ping struct {
	Host string     `json:"host"`
	URL  string     `json:"url"`
	API  string     `json:"api"`
	Auth []pingAuth `json:"auth"`
	// Credentials is "unknown" if the registry needs none.
	Credentials registry.Answer `json:"credentials"`
	Asked       string          `json:"asked"`
	OCI         registry.Answer `json:"oci"`
	Docker      registry.Answer `json:"docker"`
	Ranges      registry.Answer `json:"ranges"`
	Referrers   registry.Answer `json:"referrers"`
}

type pingAuth struct {
	Scheme  string `json:"scheme"`
	Realm   string `json:"realm"`
	Service string `json:"service"`
}

// NewPing returns the output for what a registry answered.
func NewPing(p registry.Ping) *Ping {
	r := &Ping{
		Host: p.Host, URL: p.URL, API: p.API, Auth: []pingAuth{}, Credentials: p.Credentials,
		OCI: p.OCI, Docker: p.Docker, Ranges: p.Ranges, Referrers: p.Referrers,
	}
	for _, a := range p.Auth {
		r.Auth = append(r.Auth, pingAuth(a))
	}
	if p.Asked != (registry.Reference{}) {
		r.Asked = p.Asked.String()
	}
	return r
}

// JSON prints one object.
func (r *Ping) JSON(w io.Writer) error { return terminal.WriteJSON(w, r) }

// Text prints a line for each fact.
func (r *Ping) Text(w io.Writer) error {
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
	switch {
	case len(r.Auth) == 0:
		line("auth", "none")
	case r.Credentials == registry.No:
		line("login", "no credentials are known for "+r.Host)
	case r.Credentials == registry.Yes:
		line("login", "credentials are known for "+r.Host)
	}
	if r.Asked != "" {
		line("asked", r.Asked)
	}
	line("OCI", string(r.OCI))
	line("Docker", string(r.Docker))
	line("ranges", string(r.Ranges))
	line("referrers", string(r.Referrers))
	_, err := io.WriteString(w, b.String())
	return err
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
