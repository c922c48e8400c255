// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/layerctl/layerctl/internal/userns"
)

func main() {
	userns.Continue()
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
