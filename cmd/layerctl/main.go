// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/signatures"
	"github.com/layerctl/layerctl/internal/userns"
)

func main() {
	userns.Continue()
	if words, ok := args.MountHelperArgs(os.Args); ok {
		os.Exit(runMountHelper(words, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(signatures.VerifierArgs(os.Args), os.Stdin, os.Stdout, os.Stderr))
}
