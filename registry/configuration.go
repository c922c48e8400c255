// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"

	"github.com/layerctl/layerctl/registry/internal/credentials"
)

// KeyFiles are the files in which credentials are looked for, in that order,
// whether they are there or not.
func (c *Client) KeyFiles() []string {
	return credentials.New(c.o.AuthFile).Files()
}

// Mirrors are the addresses that are asked before the registry host itself,
// by this machine's configuration. The error says what is wrong with that.
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
