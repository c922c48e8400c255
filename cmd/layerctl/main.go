// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/layerctl/layerctl/internal/userns"
)

func main() {
	userns.Continue()
	if args, ok := mountHelperArgs(os.Args); ok {
		os.Exit(runMountHelper(args, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
