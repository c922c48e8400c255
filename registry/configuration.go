// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"

	"github.com/layerctl/layerctl/internal/hosts"
)

// KeyFiles are the files in which credentials are looked for, in that order,
// whether they are there or not.
func (c *Client) KeyFiles() []string {
	return c.credentials.Files()
}

// Mirrors are the addresses that are asked before the registry host itself,
// by this machine's configuration. The error says what is wrong with that.
func (c *Client) Mirrors(host string) ([]string, error) {
	files := hosts.Files{Dir: c.o.HostsDir, K3s: c.o.K3sRegistries, RegistriesConf: c.o.RegistriesConf}
	plan, err := files.Lookup(host, "library/alpine")
	if err != nil {
		return nil, fmt.Errorf("look up the mirrors of %s: %w", host, err)
	}
	var urls []string
	for _, m := range plan.Mirrors {
		urls = append(urls, m.URL)
	}
	return urls, nil
}
