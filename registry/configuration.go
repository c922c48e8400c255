// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"

	"github.com/layerctl/layerctl/registry/internal/credentials"
)

// KeyFiles lists the files in which credentials are looked for, in that order,
// whether they exist or not.
func (c *Client) KeyFiles() []string {
	return credentials.New(c.o.AuthFile).Files()
}

// Mirrors lists the addresses that are asked before the registry host itself,
// by this machine's configuration. The error says what is wrong in that.
func (c *Client) Mirrors(host string) ([]string, error) {
	plan, err := c.o.files().Lookup(host, "library/alpine", false)
	if err != nil {
		return nil, fmt.Errorf("look up the mirrors of %s: %w", host, err)
	}
	var urls []string
	for _, m := range plan.Mirrors {
		urls = append(urls, m.URL)
	}
	return urls, nil
}
