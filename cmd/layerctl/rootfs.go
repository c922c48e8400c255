// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/registry"
)

// pathArgument splits the one argument, REF:PATH. path may be "".
func pathArgument(c *cli.Context, form string) (ref, path string, err error) {
	args, err := setup.Arguments(c, 1, 1, "one "+form)
	if err != nil {
		return "", "", err
	}
	ref, path, found := registry.CutPath(args[0])
	if _, err = registry.Parse(ref); err != nil && !found {
		err = &usageError{Problem: err.Error(), Advice: "a path in the image begins with a slash: REF:/PATH"}
	}
	return ref, path, err
}
