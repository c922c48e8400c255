// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/registry"
)

// RequestCount is the key, in the app's metadata, of the number of requests.
const RequestCount = "requests"

// counter returns a function that counts the requests that this command sends.
func counter(c *cli.Context) func(registry.Request) {
	count, ok := c.App.Metadata[RequestCount].(*atomic.Int64)
	if !ok {
		return nil
	}
	return func(registry.Request) { count.Add(1) }
}

// TellRequests prints with --verbose how many requests were sent.
func TellRequests(c *cli.Context) error {
	count, ok := c.App.Metadata[RequestCount].(*atomic.Int64)
	if !ok || !c.Bool("verbose") {
		return nil
	}
	if n := count.Load(); n == 1 {
		terminal.NewConsole(c.App.ErrWriter).Say("1 request")
	} else if n > 1 {
		terminal.NewConsole(c.App.ErrWriter).Say("%d requests", n)
	}
	return nil
}
